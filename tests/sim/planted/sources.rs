//! The sources, and a copy of them with all defects in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "bugs.rs"]
mod bugs;

pub(crate) use bugs::{BUGS, Bug};

/// Parts of the workspace that the simulation is made of.
const PARTS: [&str; 14] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "COMING_FROM_KAFKA_STREAMS.md",
    "src",
    "benches",
    "streams-state",
    "streams-core",
    "streams-cli",
    "streams-http",
    "streams-schemas",
    "streams-examples",
    "cookbook",
    "tests",
];
/// Of these, folders that no program is made of.
const LEFT_OUT: [&str; 2] = ["target", "data"];
/// Which of them is on: the word after the name of the program.
const SWITCH: &str = "//! Which planted defect is switched on.\n
/// Whether it is this one.\n#[must_use]\npub fn planted(name: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var(\"KSTREAMS_PLANTED\").ok()).as_deref() == Some(name)\n}\n";

/// Copies the sources at `root`, and plants all defects into the copy.
pub(crate) fn copy_planted(root: &Path, copy: &Path) {
    PARTS.iter().for_each(|part| copy_all(&root.join(part), &copy.join(part)));
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for Bug { name, file, find, replace, .. } in BUGS {
        let text = files.entry(file).or_insert_with(|| fs::read_to_string(root.join(file)).unwrap());
        let places = text.matches(find).count();
        assert_eq!(places, 1, "another defect has changed the place of `{name}` in {file}:\n{find}");
        let home = if file.starts_with("streams-state") { "crate" } else { "streams_state" };
        *text = text.replace(find, &replace.replace("planted(\"", &format!("{home}::planted::planted(\"")));
    }
    let list = "streams-state/src/lib.rs";
    let text = files.entry(list).or_insert_with(|| fs::read_to_string(root.join(list)).unwrap());
    text.push_str("\npub mod planted;\n");
    files.insert("streams-state/src/planted.rs", SWITCH.to_owned());
    files.into_iter().for_each(|(file, text)| write(&copy.join(file), text.as_bytes()));
}

/// Why defects could not be planted, so that it is heard of when the sources change: places that are not there, or not once; members of
/// the workspace that the copy lacks.
pub(crate) fn misplaced(root: &Path) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let places = BUGS.iter().filter_map(|Bug { name, file, find, .. }| {
        let places = read(file).matches(find).count();
        (places != 1).then(|| {
            format!("`{name}` in {file}: its place is there {places} times; say anew where it is: {find}")
        })
    });
    let manifest = read("Cargo.toml");
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let members = members.split('"').skip(1).step_by(2).map(|member| member.split('/').next().unwrap());
    let lacks =
        members.filter(|member| !PARTS.contains(member)).map(|member| format!("PARTS lacks `{member}`"));
    places.chain(lacks).collect()
}

/// Writes only what is new, so that the copy need not be compiled anew.
fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                copy_all(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else {
        write(to, &fs::read(from).unwrap());
    }
}

fn write(to: &Path, bytes: &[u8]) {
    if fs::read(to).ok().as_deref() != Some(bytes) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}
