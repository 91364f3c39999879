'use strict';
(() => {
  const root = document.documentElement;
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const tip = document.getElementById('tip');
  const said = document.getElementById('said');
  const number = (element, name) => Number(element.dataset[name]);

  // Light and dark: what the system says until somebody says otherwise. A page from disk may have
  // no storage.
  const theme = document.getElementById('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const store = (value) => { try { localStorage.setItem('sunup-theme', value); } catch { /* none */ } };
  const stored = () => { try { return localStorage.getItem('sunup-theme'); } catch { return null; } };
  const isDark = () => (root.dataset.theme || (dark.matches ? 'dark' : 'light')) === 'dark';
  const label = () => { theme.textContent = isDark() ? 'Light' : 'Dark'; };
  if (stored() === 'dark' || stored() === 'light') root.dataset.theme = stored();
  theme.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    store(root.dataset.theme);
    label();
  });
  dark.addEventListener('change', label);
  label();

  const expand = document.getElementById('expand');
  expand.addEventListener('click', () => {
    const open = expand.textContent === 'Open all';
    for (const details of all('details')) details.open = open;
    expand.textContent = open ? 'Close all' : 'Open all';
  });
  // On paper everything is open.
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = all('article details:not([open])');
    for (const details of closed) details.open = true;
  });
  addEventListener('afterprint', () => { for (const details of closed) details.open = false; });

  const filter = document.getElementById('filter');
  if (filter) {
    const pods = all('.pod').map((pod) => [pod, pod.firstElementChild.textContent.toLowerCase()]);
    filter.addEventListener('input', () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const [pod, text] of pods) pod.hidden = !words.every((word) => text.includes(word));
    });
  }

  for (const button of all('.copy')) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = 'Copied';
      } catch { button.textContent = 'Not allowed'; }
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    });
  }
  for (const hidden of all('#theme, #expand, .filter, .keys')) hidden.hidden = false;

  const steps = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600];
  const offset = (seconds, fine) => {
    const sign = seconds < 0 ? '-' : '+';
    const size = Math.abs(seconds);
    const two = (value) => String(Math.floor(value)).padStart(2, '0');
    if (size < 60) {
      const text = size.toFixed(fine ? (size < .1 ? 3 : size < 10 ? 2 : 1) : 0);
      return Number(text) === 0 ? '0s' : `${sign}${text}s`;
    }
    const whole = Math.round(size);
    if (whole >= 86400) return `${sign}${Math.floor(whole / 86400)}d${two(whole / 3600 % 24)}h`;
    if (whole >= 3600) return `${sign}${Math.floor(whole / 3600)}h${two(whole / 60 % 60)}m`;
    return `${sign}${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  };
  const svg = (name, attributes, within) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return within.appendChild(element);
  };

  // A drawing is made ready when it is first seen: a report may have hundreds.
  const ready = (chart) => {
    const first = [number(chart, 'lo'), number(chart, 'hi')];
    const whole = [number(chart, 'allLo'), number(chart, 'allHi')];
    const axis = chart.querySelector('.axis');
    const top = number(axis, 'top');
    const pieces = all('.piece', chart);
    const lines = all('.during', chart);
    const signs = all('.at', chart);
    const guides = all('.guide', chart);
    const marks = all('.bar, .mark', chart).sort((a, b) => number(a, 'a') - number(b, 'a'));
    let [lo, hi] = first;
    let current = -1;
    let cursor = null;
    for (const title of all('title', chart)) title.remove();

    const x = (seconds) => Math.max(-1000, Math.min(1000, 100 * (seconds - lo) / (hi - lo)));
    const percent = (value) => `${value.toFixed(3)}%`;
    const draw = () => {
      for (const piece of pieces) {
        const a = Math.max(-5, x(number(piece, 'a')));
        const b = Math.min(105, x(number(piece, 'b')));
        piece.setAttribute('x', percent(a));
        piece.setAttribute('width', percent(Math.max(0, b - a)));
        const words = piece.querySelector('text');
        if (words) words.setAttribute('x', a < 0 ? `${(-a / Math.max(.001, b - a) * 100).toFixed(2)}%` : 6);
      }
      for (const line of lines) {
        line.setAttribute('x1', percent(x(number(line, 'a'))));
        line.setAttribute('x2', percent(x(number(line, 'b'))));
      }
      for (const guide of guides) {
        guide.setAttribute('x1', percent(x(number(guide, 'a'))));
        guide.setAttribute('x2', percent(x(number(guide, 'a'))));
      }
      for (const sign of signs) sign.setAttribute('x', percent(x(number(sign, 'a'))));
      axis.replaceChildren();
      const rough = (hi - lo) / Math.max(3, Math.min(9, chart.clientWidth / 110));
      const step = steps.find((one) => one >= rough) || 86400 * Math.ceil(rough / 86400);
      for (let i = Math.ceil(lo / step); i * step <= hi; i++) {
        const at = percent(x(i * step));
        svg('line', { x1: at, x2: at, y1: 0, y2: top + 4 }, axis);
        if (x(i * step) < 94) svg('text', { x: at, y: top + 18, dx: 2 }, axis).textContent = offset(i * step, step < 1);
      }
    };
    const show = (from, to) => {
      const least = .002;
      if (to - from < least) { const middle = (from + to) / 2; from = middle - least / 2; to = middle + least / 2; }
      const span = Math.min(to - from, whole[1] - whole[0]);
      lo = Math.max(whole[0], Math.min(from, whole[1] - span));
      hi = lo + span;
      draw();
    };
    const zoom = (factor, at = (lo + hi) / 2) => show(at - (at - lo) * factor, at + (hi - at) * factor);
    const move = (part) => show(lo + part * (hi - lo), hi + part * (hi - lo));
    const seconds = (event) => {
      const box = chart.getBoundingClientRect();
      return lo + (event.clientX - box.left) / box.width * (hi - lo);
    };

    const place = (left, above) => {
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(left + 12, innerWidth - box.width - 8))}px`;
      tip.style.top = `${above + 18 + box.height > innerHeight ? Math.max(8, above - box.height - 12) : above + 18}px`;
    };
    const leave = () => { tip.hidden = true; for (const mark of marks) mark.classList.remove('now'); };
    const go = (to) => {
      leave();
      current = Math.max(0, Math.min(marks.length - 1, to));
      const mark = marks[current];
      if (!mark) return;
      const a = number(mark, 'a');
      if (mark.classList.contains('mark') && (a < lo || a > hi)) show(a - (hi - lo) / 2, a + (hi - lo) / 2);
      mark.classList.add('now');
      tip.textContent = mark.dataset.tip;
      const lane = mark.closest('.lane').querySelector('.name').firstChild.textContent;
      said.textContent = `${current + 1} of ${marks.length}, ${lane}: ${mark.dataset.tip}`;
      const box = mark.getBoundingClientRect();
      const frame = chart.getBoundingClientRect();
      place(Math.max(box.left, frame.left), box.bottom);
    };

    chart.setAttribute('tabindex', '0');
    chart.setAttribute('role', 'group');
    chart.setAttribute('aria-roledescription', 'timeline');
    chart.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        ArrowRight: () => event.shiftKey ? move(.2) : go(current + 1),
        ArrowLeft: () => event.shiftKey ? move(-.2) : go(current < 0 ? 0 : current - 1),
        Home: () => go(0), End: () => go(marks.length - 1),
        '+': () => zoom(.6), '=': () => zoom(.6), '-': () => zoom(1 / .6), '0': () => show(...first),
        Escape: leave,
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    chart.addEventListener('blur', leave);

    let from = null;
    let selection = null;
    chart.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || event.pointerType === 'touch') return;
      from = seconds(event);
      chart.setPointerCapture(event.pointerId);
    });
    chart.addEventListener('pointermove', (event) => {
      const at = seconds(event);
      if (!cursor) cursor = svg('line', { class: 'cursor', y1: 0, y2: top }, chart);
      cursor.setAttribute('x1', percent(x(at)));
      cursor.setAttribute('x2', percent(x(at)));
      if (from !== null && Math.abs(x(at) - x(from)) > .8) {
        if (!selection) selection = svg('rect', { class: 'selection', y: 0, height: top }, chart);
        selection.setAttribute('x', percent(Math.min(x(from), x(at))));
        selection.setAttribute('width', percent(Math.abs(x(at) - x(from))));
      }
      const mark = document.elementFromPoint(event.clientX, event.clientY)?.closest('.bar, .mark');
      if (mark && chart.contains(mark) && !selection) {
        tip.textContent = `${mark.dataset.tip}`;
        place(event.clientX, event.clientY);
      } else tip.hidden = true;
    });
    const drop = (event) => {
      if (selection) {
        const to = seconds(event);
        selection.remove();
        selection = null;
        show(Math.min(from, to), Math.max(from, to));
      }
      from = null;
    };
    chart.addEventListener('pointerup', drop);
    chart.addEventListener('pointercancel', () => { selection?.remove(); selection = null; from = null; });
    chart.addEventListener('pointerleave', () => { tip.hidden = true; cursor?.remove(); cursor = null; });
    chart.addEventListener('dblclick', () => show(...whole));
    chart.addEventListener('wheel', (event) => {
      // Without Ctrl the wheel scrolls the page, as everywhere.
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? .8 : 1.25, seconds(event));
    }, { passive: false });

    const bar = document.createElement('div');
    bar.className = 'zoom';
    for (const [text, name, act] of [
      ['−', 'Zoom out', () => zoom(1 / .6)], ['+', 'Zoom in', () => zoom(.6)],
      ['First view', 'Back to the first view', () => show(...first)], ['All', 'Show all that is known', () => show(...whole)],
    ]) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.setAttribute('aria-label', name);
      button.addEventListener('click', act);
      bar.append(button);
    }
    chart.after(bar);
    draw();
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      ready(entry.target);
    }
  }, { rootMargin: '200px' });
  for (const chart of all('.chart > svg')) seen.observe(chart);
})();
