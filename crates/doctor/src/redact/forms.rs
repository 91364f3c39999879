//! Forms that secrets, addresses and hosts have wherever they stand. Sooner too much than too
//! little: what only looks like a password is removed as well.
//!
//! # Sources
//! Which makers' tokens begin how, and what stands before a password: the rules of gitleaks
//! (`config/gitleaks.toml`) and detect-secrets (`plugins/keyword.py`), read as facts; RFC 7519 (JSON
//! web tokens), RFC 7468 (PEM), RFC 3986 (user information, queries); the root zone's country codes
//! (ISO 3166-1 alpha-2 and `uk`, `eu`).

use std::sync::LazyLock;

use regex::Regex;

use super::class::Class;
use super::gate::{Gates, Shape};

/// A form: its first group is what is replaced.
pub(super) struct Form {
    pub(super) class: Class,
    pub(super) regex: Regex,
    pub(super) unless: Unless,
}

/// What only has the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unless {
    Never,
    /// A word that sentences have says nothing: `token: expired`.
    Said,
    /// A long identifier of a program has few digits, a path few capitals.
    Row,
    /// A number or a time in a query: `?timeout=10s`.
    Number,
    /// An image that the mesh is made of.
    Image,
}

/// All forms, and what says which of them a text may have.
pub(super) struct Forms {
    pub(super) all: Vec<Form>,
    pub(super) gates: Gates,
}

/// Names of what is secret, as a part of a longer name.
const SECRET: &str = r"(?:pass(?:word|wd|phrase|code|wort)|passwd|pwd|kennwort|contrase[nñ]a|senha|secret|token|(?:api|access|account|shared|private|priv|secret|encryption|encrypt|signing|master|client|auth|app|application|service|db|database|license|consumer|storage|ssh|rsa|hmac|aes)[_.-]?(?:access[_.-]?)?key|shared[_.-]?access[_.-]?signature|credentials?|creds|cookie|jwt|connection[_.-]?string|dockerconfig(?:json)?|dockercfg|client[_.-]key[_.-]data|otp|passcode)";

/// Names that mean something secret only when they are all of a name.
const WHOLE: &str =
    r"(?:pass|pw|pswd|auth|sig|signature|pin|sid|session|session[_.-]?id|nonce|salt|dsn|cred)";

/// Quoted, or as far as a word goes; what is in quotes may hold blanks.
const VALUE: &str = r#"(?:\\*"((?:[^"\\]|\\[^"])+)|'([^']+)|`([^`]+)|([^\s"'`\\,;&<>{}()\[\]|]+))"#;

/// How tokens of known makers begin.
const MAKERS: &str = r"gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-|GR1348941|xox[a-z]-|xoxe\.|xapp-|sk-|[srp]k_(?:live|test|prod)_|whsec_|AIza|ya29\.|GOCSPX-|hv[sbr]\.|do[opr]_v1_|npm_|pypi-|SG\.|key-[0-9a-f]{28}|dapi[0-9a-f]{28}|hf_|api_org_|lin_api_|ntn_|PMAK-|pul-[0-9a-f]{20}|rdme_|rubygems_|shp(?:at|ca|pa|ss)_|sntry[su]_|gl(?:c|sa)_|fo1_|fm[12][ar]?_|pscale_(?:tkn|pw|oauth)_|dp\.(?:pt|st|ct|sa)\.|dt0[a-z][0-9]{2}\.|NR(?:AK|II|JS)-|ops_|A3-[A-Z0-9]{6}-|AGE-SECRET-KEY-1|sha256~|LTAI|AKCp|cmVmd|AQVN|ATATT3|ATBB|xkeysib-|tfp_|HRKU-|bedrock-api-key-|ABSK|figd_|sbp_|EZ[AT]K|FLWSECK|duffel_|shippo_|sgp_|sq0[a-z]{3}-|pplx-|gsk_|r8_|tk-us-|CLOJARS_|API-[A-Z0-9]{20}|p8e-|ico-[A-Za-z0-9]{20}|sm_[aps]at_|pnu_|authress_|glrt-|v1\.0-[a-f0-9]{20}";

/// Countries' domains.
const COUNTRIES: &str = "ac|ad|ae|af|ag|al|am|ao|aq|ar|as|at|au|aw|ax|az|ba|bb|bd|be|bf|bg|bh|bi|bj|bm|bn|bo|br|bs|bt|bw|by|bz|ca|cd|cf|cg|ch|ci|ck|cl|cm|cn|co|cr|cu|cv|cw|cx|cy|cz|de|dj|dk|dm|do|dz|ec|ee|eg|er|es|et|eu|fi|fj|fk|fm|fo|fr|ga|gd|ge|gf|gg|gh|gi|gl|gm|gn|gp|gq|gr|gs|gt|gu|gw|gy|hk|hm|hn|hr|ht|hu|id|ie|il|im|in|iq|ir|is|it|je|jm|jo|jp|ke|kg|kh|ki|km|kn|kp|kr|kw|ky|kz|la|lb|lc|li|lk|lr|ls|lt|lu|lv|ly|ma|mc|me|mg|mh|mk|ml|mm|mn|mo|mp|mq|mr|ms|mt|mu|mv|mw|mx|my|mz|na|nc|ne|nf|ng|ni|nl|no|np|nr|nu|nz|om|pa|pe|pf|pg|ph|pk|pm|pn|pr|ps|pt|pw|qa|re|ro|ru|rw|sa|sb|sc|sd|se|sg|si|sj|sk|sl|sm|sn|sr|ss|st|su|sv|sx|sy|sz|tc|td|tf|tg|th|tj|tk|tl|tm|tn|to|tr|tt|tv|tw|tz|ua|ug|uk|us|uy|uz|va|vc|ve|vg|vi|vn|vu|wf|ws|ye|yt|za|zm|zw";

/// Other domains that hosts of companies have.
const DOMAINS: &str = "svc(?:\\.cluster\\.local)?|com|net|org|io|dev|cloud|local|internal|intranet|intra|corp|lan|app|ai|info|biz|example|test|tech|systems|gov|edu|mil|int|xyz|online|site|store|shop|team|group|company|services|solutions|digital|network|global|host|zone|bank|private|arpa|home|localdomain|consul|invalid|prod|staging|k8s";

/// A label of a host.
const LABEL: &str = "[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?";

pub(super) static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    let patterns = patterns();
    let domains = DOMAINS.split('|').chain(COUNTRIES.split('|'));
    let domains = domains.filter_map(|domain| domain.split('(').next()).collect();
    let shapes = patterns.iter().map(|pattern| (pattern.text.as_str(), pattern.shape));
    let gates = Gates::new(shapes, domains);
    let form = |pattern: Pattern| Form {
        class: pattern.class,
        unless: pattern.unless,
        regex: Regex::new(&pattern.text).expect("a pattern that tests run"),
    };
    Forms { all: patterns.into_iter().map(form).collect(), gates }
});

/// A form, and what a text must have for it.
pub(super) struct Pattern {
    class: Class,
    unless: Unless,
    pub(super) shape: Shape,
    pub(super) text: String,
}

impl Pattern {
    fn new(class: Class, text: impl Into<String>) -> Self {
        Pattern { class, unless: Unless::Never, shape: Shape::Literal, text: text.into() }
    }

    fn unless(self, unless: Unless) -> Self {
        Pattern { unless, ..self }
    }

    fn shaped(self, shape: Shape) -> Self {
        Pattern { shape, ..self }
    }
}

/// Every form.
pub(super) fn patterns() -> Vec<Pattern> {
    [keys(), makers(), said(), below(), hosts()].into_iter().flatten().collect()
}

fn token(text: impl Into<String>) -> Pattern {
    Pattern::new(Class::Token, text)
}

fn row(text: &str) -> Pattern {
    token(text).unless(Unless::Row).shaped(Shape::Row)
}

/// What has a form of its own.
fn keys() -> Vec<Pattern> {
    vec![
        // PEM, whole, begun, or in one line with its breaks written out.
        token(r"-----BEGIN [A-Z0-9 ]+-----((?:\\+[nr]|[\sA-Za-z0-9+/=]){8,})"),
        // A header in base64 begins with `{"`.
        token(r"(eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){0,2})"),
        token(
            r"\b((?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|APKA)[A-Z0-9]{12,})",
        ),
        // Long rows: hashes, identifiers, keys; with slashes, AWS' and Azure's.
        row(r"(?:^|[^A-Za-z0-9+_=])([A-Za-z0-9+_]{32,}={0,2})"),
        row(r"(?:^|[^A-Za-z0-9+/=_-])([A-Za-z0-9+/_-]{38,}={0,2})"),
        row(r"(?:^|[^0-9A-Fa-f-])([0-9a-f]{24,})(?:$|[^0-9A-Fa-f-])"),
        // Numbers of cards, in groups, and of accounts (ISO 7812, ISO 13616).
        token(r"\b([0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7})\b").shaped(Shape::Groups),
        token(r"\b([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?)\b")
            .shaped(Shape::Account),
        token(r"(?:^|[^0-9A-Fa-f:-])((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?:$|[^0-9A-Fa-f:-])")
            .shaped(Shape::Pairs),
    ]
}

fn makers() -> Vec<Pattern> {
    vec![
        token(format!(r"\b((?:{MAKERS})[A-Za-z0-9_./+=~-]{{4,}})")),
        token(r"([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{10,})"),
        token(r"(?:^|[^A-Za-z0-9_~.])([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{20,})"),
        token(r"\b(SK[0-9a-fA-F]{32}|EAA[A-Z][A-Za-z0-9]{20,})").shaped(Shape::Row),
        token(r"\b(pat[A-Za-z0-9]{14}\.[a-f0-9]{20,})"),
        // Vault's of old; what Google gives to get new ones by.
        token(r"\b(s\.[A-Za-z0-9]{20,})").shaped(Shape::Row),
        token(r"\b(1//[A-Za-z0-9_-]{16,})"),
        // Who knows these addresses may write there.
        token(r"(?i)hooks\.slack\.com/(?:services|workflows|triggers)/([^\s\x22']+)"),
        token(r"(?i)discord(?:app)?\.com/api/webhooks/([^\s\x22']+)"),
        token(r"(?i)webhook\.office\.com/([^\s\x22']+)"),
        token(r"/bot([0-9]{6,}:[A-Za-z0-9_-]{20,})"),
        // The name and word before the host of a URL, whatever signs they have.
        token(r"://([^\s/?#\x22'<>@]*(?::[^\s\x22'<>@]*)?)@[^\s@]"),
        token(r"://([^\s/?#\x22'<>@]*:[^\s\x22'<>]*)@[^\s@]"),
        // `user:word@tcp(10.1.1.1:3306)/db`.
        token(r"(?:^|[\s=\x22'(])([\w.%+-]+:[^\s@/\x22']+)@(?:tcp|unix)?\("),
        token(r"(?i)jdbc:oracle:[a-z]+:([^\s@]+)@"),
        token(r"(?i)%3A%2F%2F([^%\s]*%3A[^%\s]*)%40"),
        // Whose machine, account or project it is.
        token(r"(?:/hom[e]/|/Users/|[\\]Users[\\]{1,2})([\w.-]+)"),
        token(r"\barn:[\w-]+:[\w-]*:[\w-]*:([0-9]{12}:[^\s\x22']+)"),
        token(r"\b(?:projects|subscriptions|resourceGroups|organizations|tenants)/([\w.-]{4,})"),
        token(r"(?i)\b(?:cn|uid|ou|dc)=([^,\s\x22'/]{2,})"),
        // Queries: signatures, codes, sessions. What is a number or a time stays.
        token(r"[?&](?:amp;)?[\w.%\[\]-]+=([^&\s\x22'<>#]+)").unless(Unless::Number),
    ]
}

/// What stands behind a word that says so.
fn said() -> Vec<Pattern> {
    let quoted = |lead: String| token(format!("(?i){lead}{VALUE}")).unless(Unless::Said);
    vec![
        token(
            r#"(?i)\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:[a-z-]+\s+)?([^"'\s,]{3,}(?:[^"'\r\n])*)"#,
        ),
        token(r#"(?i)\b(?:set-)?cookie2?["']?\s*[:=]\s*["']?([^"'\r\n]{3,})"#),
        token(
            r#"(?i)\bx-[a-z0-9-]*(?:key|token|secret|auth)[a-z-]*["']?\s*[:=]\s*["']?([^"'\s,]{3,})"#,
        ),
        token(r"(?i)\b(?:bearer|basic|negotiate|ntlm)\s+([A-Za-z0-9._~+/=-]{6,})"),
        // `password=…`, `"token": "…"`, `secret => …`, `--api-key …`, `password is …`.
        quoted(format!(
            r#"[\w.-]*{SECRET}[\w.-]*\\*["'`\]]?\s*(?:=>|->|:?=|==|[:：]|\|)\s*[\[(]?"#
        )),
        quoted(format!(
            r#"(?:^|[^\w.-])(?:[\w.-]*[_.-])?{WHOLE}\\*["'`\]]?\s*(?:=>|->|:?=|[:：])\s*"#
        )),
        quoted(r"\b(?:bindpw|password|passwd|passphrase|passwort|kennwort)\s+".to_owned()),
        quoted(r#"\b(?:user|user[_-]?name|user[ _-]?id|login)\\*["']?\s*[=:]\s*"#.to_owned()),
        token(r#"(?i)\buser\s+["']([^"']+)"#),
        token(r#"(?i)\b(?:username|response|nonce|cnonce|opaque)="([^"]+)"#),
        token(format!(r"(?i)<[\w:.-]*{SECRET}[\w.-]*>([^<]+)")),
        token(format!(r#"(?i)\b(?:key|name)=["'][^"']*{SECRET}[^"']*["']\s+value=["']([^"']+)"#)),
        token(r#"(?i)--from-literal[= ]["']?[^=\s]+=(\S+)"#),
        quoted(format!(r#"(?:^|[\s"'])--?[\w.-]*{SECRET}[\w.-]*["']?[\s,]+"#)),
        quoted(format!(r"\b{SECRET}\s+(?:is|was|ist|to)\s*:?\s+")),
        token(r#"(?i)\s--(?:proxy-)?user[ =]["']?([^\s"']+)"#),
        token(
            r#"(?i)\bcurl\b[^|;\r\n]*?\s(?:-u|--user|-U|--proxy-user|-b|--cookie|--pass)[ =]?["']?([^\s"']+)"#,
        ),
        token(
            r#"(?i)\b(?:sshpass|docker\s+login|helm\s+registry\s+login|mysql\w*|mariadb\w*|mongo\w*|cqlsh|rabbitmqadmin)\b[^|;\r\n]*?\s-p[ =]?["']?([^\s"']+)"#,
        ),
        token(r#"(?i)\bredis-cli\b[^|;\r\n]*?\s-a[ =]?["']?([^\s"']+)"#),
        token(r"(?i)\blogin\s+\S+\s+password\s+(\S+)"),
        token(r"(?i)\b(?:identified\s+by|password)\s+'([^']+)'"),
    ]
}

/// What stands below, or in files that have only such: blocks, commands' input, `.pgpass`, `.netrc`.
fn below() -> Vec<Pattern> {
    let end = r"(?:\\r|\r)?(?:\\n|\n)";
    let deep = r"(?:[ \t]|\\t)(?:[^\\\n]|\\[^nr])*";
    vec![
        // `password: |`, its lines in one text: all that is deeper than the edge of it.
        token(format!(
            r#"(?i){SECRET}[\w.-]*\\*["']?\s*[:=]\s*(?:[!&]\S+\s+)*[|>][0-9+-]{{0,2}}[ \t]*((?:{end}(?:{deep})?)*{end}{deep})"#
        )),
        // What a command reads that asks for a secret.
        token(
            r#"(?i)\b(?:echo|printf)\s+(?:-\S+\s+)*["']?([^|\r\n]*?)["']?\s*\|[^|\r\n]*(?:-stdin\b|passwd|\blogin\b|\bsudo\s+-S|\bbase64\b|\bopenssl\b|\bkubeseal\b|\bvault\b)"#,
        ),
        token(r#"<<<\s*["']?([^"'\r\n]+)"#),
        token(r"^\s*[^\s:#]+:(?:[0-9]{1,5}|\*):[^\s:]*:[^\s:]+:(\S+)\s*$"),
        token(r"(?im)^\s*(?:login|account|password)\s+(\S+)\s*$"),
        // Terraform's variables.
        token(r#"\bdefault\s*=\s*"([^"]+)""#),
    ]
}

fn hosts() -> Vec<Pattern> {
    let host = |text: String| Pattern::new(Class::Host, text);
    let domain = |text: String| host(text).shaped(Shape::Domain);
    let ip = |text: &str, shape| Pattern::new(Class::Ip, text).shaped(shape);
    vec![
        // The machine that a system's journal is of, and whose pod a kubelet speaks of.
        host(r"^[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}(?:\.[0-9]+)? ([\w.-]+) [\w./()-]+(?:\[[0-9]+\])?:".to_owned()),
        Pattern::new(Class::Namespace, r#"\bpod=["']([^"'/\s]+)/"#),
        Pattern::new(Class::Value, r#"(?i)\bimage\s+["']([^"'\s]+)"#).unless(Unless::Image),
        Pattern::new(Class::Email, r"([\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*)"),
        ip(r"(?:^|[^0-9.])((?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?)(?:$|[^0-9.]|\.(?:$|[^0-9]))", Shape::V4),
        ip(r"(?:^|[^0-9A-Za-z:.])([0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:/[0-9]{1,3})?)", Shape::V6),
        // An address with dashes, as nodes and pods are called by.
        host(r"(?i)(?:^|[^0-9A-Za-z])((?:ip-)?(?:[0-9]{1,3}-){3}[0-9]{1,3}(?:\.[a-z0-9-]+)*)(?:$|[^0-9A-Za-z-])".to_owned()).shaped(Shape::Dashes),
        // Hosts: after a scheme or a word that announces one; or with a domain that is one.
        host(r#"(?i)(?:://(?:[^\s/@'"]*@)?|\blookup |\bhost(?:name)?["']?[=:]\s?["']?|\bserver["']?[=:]\s?["']?|dial tcp:? (?:lookup )?)([a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_-]+)*)"#.to_owned()),
        domain(format!(r"(?i)(?:^|[^a-z0-9._/@-])((?:{LABEL}\.)+(?:{DOMAINS}|{COUNTRIES}))(?:$|[^a-z0-9_(/.-]|\.(?:$|\s))")),
        // With a port, any domain is one; a file with a line is none.
        host(format!(r"(?i)(?:^|[^a-z0-9._/@-])((?:{LABEL}\.)+[a-z](?:[a-z0-9-]*[a-z0-9])?):[0-9]{{2,5}}(?:$|[^0-9])")).shaped(Shape::Port),
        domain(format!(r"(?i)(?:^|[^a-z0-9._/@-])((?:{LABEL}\.)+(?:{DOMAINS}|{COUNTRIES}))/")),
        // Behind a `-` or a sign that a word may begin with, three labels are one.
        domain(format!(r"(?i)\b((?:{LABEL}\.){{2,}}(?:com|net|org|io|dev|cloud|internal|corp|example|local|lan|{COUNTRIES}))\b")),
    ]
}

/// Words that say something of a secret and are none.
const SAID: [&str; 96] = [
    "a",
    "absent",
    "access",
    "added",
    "all",
    "already",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "authentication",
    "authorization",
    "auto",
    "base64",
    "be",
    "because",
    "by",
    "can",
    "cannot",
    "changed",
    "configured",
    "could",
    "created",
    "denied",
    "deleted",
    "disabled",
    "does",
    "empty",
    "enabled",
    "error",
    "exists",
    "expired",
    "expires",
    "failed",
    "failure",
    "false",
    "for",
    "found",
    "from",
    "generated",
    "got",
    "has",
    "have",
    "if",
    "ignored",
    "in",
    "invalid",
    "is",
    "it",
    "key",
    "loaded",
    "lost",
    "missing",
    "must",
    "name",
    "new",
    "nil",
    "no",
    "none",
    "not",
    "null",
    "of",
    "ok",
    "on",
    "or",
    "password",
    "present",
    "provided",
    "read",
    "received",
    "refreshed",
    "rejected",
    "request",
    "required",
    "rotated",
    "secret",
    "set",
    "should",
    "string",
    "that",
    "the",
    "this",
    "to",
    "token",
    "true",
    "type",
    "unable",
    "unauthorized",
    "undefined",
    "unknown",
    "unset",
    "used",
    "valid",
    "was",
];

/// Whether a value is a word of a sentence, or a place where a value would stand.
pub(super) fn is_said(value: &str) -> bool {
    let word = value.trim_matches(|c: char| !c.is_alphanumeric());
    let lower = word.to_ascii_lowercase();
    word.is_empty()
        || value.starts_with("$(")
        || value.starts_with("{{")
        || SAID.contains(&lower.as_str())
}

/// Whether a field's name says that its value is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!("(?i)(?:{SECRET}|^{WHOLE}$)")).expect("a pattern that tests run")
    });
    NAME.is_match(name)
}

/// Whether a word of a command line says that the next one is secret.
pub(super) fn is_secret_flag(word: &str) -> bool {
    let name = word.trim_matches(['"', '\'', ',']).trim_start_matches('-');
    word.trim_start_matches(['"', '\'']).starts_with('-')
        && !name.ends_with("stdin")
        && !name.contains('=')
        && is_secret_name(name)
}
