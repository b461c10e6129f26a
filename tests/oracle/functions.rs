//! The closed vocabulary of pure functions that the cases name. Every function accepts null. All data is ASCII.
//! A name that is not in the vocabulary is a defect of the case file: it panics with that name.

/// A key or a value of a case: text or null.
pub(crate) type Text = Option<String>;

/// A null reads as the four letters `null`.
pub(crate) fn s(x: Option<&str>) -> &str {
    x.unwrap_or("null")
}

/// Keeps text short: at most 64 characters as it is, else the first 24, `#`, and the last 39.
pub(crate) fn clip(x: String) -> String {
    if x.len() <= 64 { x } else { format!("{}#{}", &x[..24], &x[x.len() - 39..]) }
}

/// Sum of the character codes.
pub(crate) fn sum(x: Option<&str>) -> i64 {
    s(x).bytes().map(i64::from).sum()
}

/// First character; null for null and for the empty text.
fn head(x: Option<&str>) -> Text {
    x.and_then(|x| x.chars().next()).map(String::from)
}

fn own(x: Option<&str>) -> Text {
    x.map(str::to_owned)
}

fn unknown(kind: &str, name: &str) -> ! {
    panic!("the vocabulary has no {kind} `{name}`")
}

/// filter, filterNot, branch.
pub(crate) fn predicate(name: &str, k: Option<&str>, v: Option<&str>) -> bool {
    match name {
        "vNotNull" => v.is_some(),
        "vNull" => v.is_none(),
        "kNotNull" => k.is_some(),
        "vSumEven" => sum(v) % 2 == 0,
        "vSumMod3" => sum(v) % 3 != 0,
        "kvSumMod4" => (sum(k) + sum(v)) % 4 != 0,
        "kNotA" => k != Some("a"),
        "vHasB" => v.is_some_and(|v| v.contains('b')),
        other => unknown("predicate", other),
    }
}

/// mapValues; only a name that begins with `key` may see the key.
pub(crate) fn map_value(name: &str, k: Option<&str>, v: Option<&str>) -> Text {
    match name {
        "upper" => v.map(str::to_ascii_uppercase),
        "bang" => Some(clip(format!("{}!", s(v)))),
        "bangKeepNull" => v.map(|v| clip(format!("{v}?"))),
        "nullIfSumMod3" => own(v).filter(|_| sum(v) % 3 != 0),
        "head" => head(v),
        "const" => Some("c".to_owned()),
        "keyPrefix" => Some(clip(format!("{}:{}", s(k), s(v)))),
        other => unknown("value mapper", other),
    }
}

/// map.
pub(crate) fn map(name: &str, k: Option<&str>, v: Option<&str>) -> (Text, Text) {
    let odd = sum(v) % 2 != 0;
    match name {
        "swapHead" => (head(v), Some(clip(format!("{}/{}", s(k), s(v))))),
        "rekeyMod3" => (Some(format!("m{}", sum(v) % 3)), own(v)),
        "same" => (own(k), own(v)),
        "nullKeyIfOdd" => (own(k).filter(|_| !odd), own(v)),
        "nullValueIfOdd" => (own(k), own(v).filter(|_| !odd)),
        other => unknown("mapper", other),
    }
}

/// selectKey, groupBy, tableGroupBy, toStream, lookup and foreign keys.
pub(crate) fn key(name: &str, k: Option<&str>, v: Option<&str>) -> Text {
    match name {
        "vHead" => head(v),
        "vMod3" => Some(format!("g{}", sum(v) % 3)),
        "kPlus" => Some(clip(format!("{}+", s(k)))),
        "kSame" => own(k),
        "nullIfOdd" => own(k).filter(|_| sum(v) % 2 == 0),
        "kOrHead" => {
            if sum(v) % 2 == 0 {
                own(k)
            } else {
                head(v)
            }
        }
        other => unknown("key function", other),
    }
}

/// flatMap.
pub(crate) fn flat_map(name: &str, k: Option<&str>, v: Option<&str>) -> Vec<(Text, Text)> {
    match name {
        "dup" => vec![(own(k), own(v)), (own(k), Some(clip(format!("{}'", s(v)))))],
        "byMod3" => (0..sum(v) % 3)
            .map(|i| (Some(clip(format!("{}{i}", s(k)))), Some(clip(format!("{}{i}", s(v))))))
            .collect(),
        "dropNull" => v.map(|v| (own(k), Some(v.to_owned()))).into_iter().collect(),
        "both" => vec![(own(k), own(v)), (head(v), own(k))],
        other => unknown("flat mapper", other),
    }
}

/// flatMapValues; only a name that begins with `key` may see the key.
pub(crate) fn flat_map_value(name: &str, k: Option<&str>, v: Option<&str>) -> Vec<Text> {
    match name {
        "dup" => vec![own(v), Some(clip(format!("{}'", s(v))))],
        "chars" => v.unwrap_or("").chars().take(3).map(|c| Some(c.to_string())).collect(),
        "onlyOdd" => {
            if sum(v) % 2 != 0 {
                vec![own(v)]
            } else {
                Vec::new()
            }
        }
        "keyTwice" => vec![Some(clip(format!("{}~{}", s(k), s(v)))), None],
        other => unknown("flat value mapper", other),
    }
}

/// Joiners; only a name that begins with `key` may see the key.
pub(crate) fn join(name: &str, k: Option<&str>, l: Option<&str>, r: Option<&str>) -> Text {
    match name {
        "pipe" => Some(clip(format!("{}|{}", s(l), s(r)))),
        "keyPipe" => Some(clip(format!("{}:{}|{}", s(k), s(l), s(r)))),
        "nullIfMod5" => ((sum(l) + sum(r)) % 5 != 0).then(|| clip(format!("{}^{}", s(l), s(r)))),
        other => unknown("joiner", other),
    }
}

/// Initializers.
pub(crate) fn init(name: &str) -> Text {
    match name {
        "empty" => Some(String::new()),
        "zero" => Some("0".to_owned()),
        "null" => None,
        other => unknown("initializer", other),
    }
}

/// Adders, subtractors and cogroup aggregators.
pub(crate) fn aggregate(name: &str, k: Option<&str>, v: Option<&str>, a: Option<&str>) -> Text {
    match name {
        "add" => Some(clip(format!("{}+{}", s(a), s(v)))),
        "add2" => Some(clip(format!("{}*{}", s(a), s(v)))),
        "addKey" => Some(clip(format!("{}+{}:{}", s(a), s(k), s(v)))),
        "addNullMod5" => (sum(v) % 5 != 0).then(|| clip(format!("{}+{}", s(a), s(v)))),
        "last" => own(v),
        "sub" => Some(clip(format!("{}-{}", s(a), s(v)))),
        "subNullMod4" => (sum(v) % 4 != 0).then(|| clip(format!("{}-{}", s(a), s(v)))),
        "keep" => own(a),
        other => unknown("aggregator", other),
    }
}

/// Reducers.
pub(crate) fn reduce(name: &str, a: Option<&str>, v: Option<&str>) -> Text {
    match name {
        "plus" => Some(clip(format!("{}+{}", s(a), s(v)))),
        "last" => own(v),
        "max" => own(if s(a) >= s(v) { a } else { v }),
        "nullMod5" => (sum(v) % 5 != 0).then(|| clip(format!("{}&{}", s(a), s(v)))),
        "minus" => Some(clip(format!("{}-{}", s(a), s(v)))),
        "keep" => own(a),
        other => unknown("reducer", other),
    }
}

/// Session mergers.
pub(crate) fn merge(name: &str, k: Option<&str>, a: Option<&str>, b: Option<&str>) -> Text {
    match name {
        "tilde" => Some(clip(format!("{}~{}", s(a), s(b)))),
        "keyTilde" => Some(clip(format!("{}~{}~{}", s(a), s(k), s(b)))),
        other => unknown("session merger", other),
    }
}

/// Topic name extractors.
pub(crate) fn topic(name: &str, k: Option<&str>, v: Option<&str>) -> String {
    match name {
        "bySum" => format!("out-dyn-{}", sum(v) % 2),
        "byKey" => k.map_or("out-dyn-none".to_owned(), |k| format!("out-dyn-{}", sum(Some(k)) % 3)),
        other => unknown("topic extractor", other),
    }
}
