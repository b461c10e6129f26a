//! Values of settings as text, parsed as Kafka Streams parses them. An error is what follows "must be".

use std::time::Duration;

/// The text without the blanks around it.
pub(crate) fn text(value: &str) -> &str {
    value.trim()
}

/// A whole number in `least..=most`.
pub(crate) fn whole(value: &str, least: i64, most: i64) -> Result<i64, String> {
    let within = |number: &i64| (least..=most).contains(number);
    text(value).parse().ok().filter(within).ok_or_else(|| match (least, most) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (least, i64::MAX) => format!("a whole number of at least {least}"),
        (least, most) => format!("a whole number from {least} to {most}"),
    })
}

/// A whole number from `least` up to Java's largest `int`.
pub(crate) fn int(value: &str, least: i64) -> Result<i64, String> {
    whole(value, least, i64::from(i32::MAX))
}

/// A number of things: 0 or more.
pub(crate) fn count(value: &str) -> Result<usize, String> {
    Ok(int(value, 0)? as usize)
}

/// Bytes: 0 or more.
pub(crate) fn bytes(value: &str) -> Result<u64, String> {
    Ok(whole(value, 0, i64::MAX)? as u64)
}

/// Milliseconds: 0 or more.
pub(crate) fn millis(value: &str) -> Result<Duration, String> {
    match whole(value, 0, i64::MAX) {
        Ok(millis) => Ok(Duration::from_millis(millis as u64)),
        Err(_) => Err("a whole number of milliseconds, 0 or more".to_owned()),
    }
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(value: &str) -> Result<bool, String> {
    match text(value).to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("`true` or `false`".to_owned()),
    }
}

/// One of `words`.
pub(crate) fn one_of<'a>(value: &str, words: &[&'a str], any_case: bool) -> Result<&'a str, String> {
    let value = text(value);
    let same = |word: &&&str| if any_case { word.eq_ignore_ascii_case(value) } else { **word == value };
    words.iter().find(same).copied().ok_or_else(|| {
        let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        match listed.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", listed.join(", ")),
        }
    })
}
