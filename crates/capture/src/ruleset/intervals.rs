//! Lists of ranges as disjoint, sorted spans: the kernel refuses overlapping intervals.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::settings::PortRange;

/// First and last key, as big-endian numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First.
    pub first: u128,
    /// Last, included.
    pub last: u128,
}

/// Spans of address ranges of one family.
#[must_use]
pub fn address_spans(ranges: &[IpNet]) -> Vec<Span> {
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let spans = ranges
        .iter()
        .map(|range| Span { first: number(range.network()), last: number(range.broadcast()) });
    merge(spans.collect())
}

/// Spans of port ranges.
#[must_use]
pub fn port_spans(ranges: &[PortRange]) -> Vec<Span> {
    let spans = ranges.iter().map(|r| Span { first: r.lo.into(), last: r.hi.into() });
    merge(spans.collect())
}

fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            // Adjacent spans are joined too: the end of one and the start of the next would be
            // the same key, which old kernels refuse.
            Some(open) if span.first <= open.last.saturating_add(1) => {
                open.last = open.last.max(span.last);
            }
            _ => out.push(span),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overlaps_and_neighbours_are_joined() {
        let ranges = ["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "13.0.0.0/8", "0.0.0.0/32"]
            .map(|r| r.parse().unwrap());
        let spans = address_spans(&ranges);
        let first: Vec<u128> = spans.iter().map(|s| s.first >> 24).collect();
        assert_eq!(first, [0, 10, 13]);
        assert_eq!(spans[1].last, (12 << 24) - 1);
        let all = address_spans(&["::/0".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        assert_eq!(all, [Span { first: 0, last: u128::MAX }]);
    }

    proptest! {
        #[test]
        fn a_port_is_in_a_span_exactly_if_it_is_in_a_range(
            ranges in proptest::collection::vec((0u16..200, 0u16..20), 0..12),
            port in 0u16..250,
        ) {
            let ranges: Vec<PortRange> =
                ranges.iter().map(|(lo, n)| PortRange { lo: *lo, hi: lo + n }).collect();
            let spans = port_spans(&ranges);
            let hit = spans.iter().any(|s| s.first <= port.into() && u128::from(port) <= s.last);
            prop_assert_eq!(hit, ranges.iter().any(|r| r.contains(port)));
            prop_assert!(spans.windows(2).all(|w| w[0].last + 1 < w[1].first));
        }
    }
}
