//! House rules that a compiler does not check. Each broken rule is printed as `file:line: what`.
//!
//! In: the text of all Rust files of the workspace. Out: a list of faults, all at once.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Lines that a file may have without its tests.
const FILE_LINES_MAX: usize = 500;
/// Lines that a function may have, signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;

/// A Rust file: path from the workspace root, all lines, and how many of them stand before its tests.
struct Source {
    path: String,
    lines: Vec<String>,
    code_lines: usize,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let is_test = path.contains("/tests/") || path.starts_with("tests/") || path.ends_with("/tests.rs");
        let tests = |(at, line): (usize, &String)| {
            let next = lines.get(at + 1).map_or("", |line| line.trim());
            line.starts_with("#[cfg(test)]") && next.starts_with("mod ") && next.ends_with('{')
        };
        let code_lines = match is_test {
            true => 0,
            false => lines.iter().enumerate().position(tests).unwrap_or(lines.len()),
        };
        Self { path, lines, code_lines }
    }

    /// Lines of code before the tests, numbered from 1, comments cut off.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.lines[..self.code_lines].iter().map(|line| without_comment(line)))
    }

    /// All lines, tests included, numbered from 1, comments cut off.
    fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.lines.iter().map(|line| without_comment(line)))
    }

    fn fault(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn without_comment(line: &str) -> &str {
    match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    }
}

/// All Rust files of the workspace, sorted by path.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [
        "src",
        "tests",
        "benches",
        "streams-state",
        "streams-core",
        "streams-http",
        "streams-schemas",
        "streams-cli",
        "streams-examples",
        "cookbook",
    ] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    files.iter().map(|path| Source::read(root, path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn check(rule: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{rule}\n  {}\n", faults.join("\n  "));
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `line` names the crate `name` as the start of a path: `name::`, `use name;`, `extern crate name`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let starts_path =
            !before.ends_with(is_word) && !before.ends_with("::") && !before.ends_with(['"', '.', '-', '`']);
        let before = before.trim_end();
        starts_path && (after.starts_with("::") || (before.ends_with("use") && after.starts_with(';')))
    })
}

/// The first segments of the `crate::` paths in the code of a file, with their lines; `crate::{a, b}` is opened.
fn crate_modules(source: &Source) -> Vec<(usize, String)> {
    const PATH: &str = "crate::";
    let text: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices(PATH) {
        let (before, rest) = (&text[..at], &text[at + PATH.len()..]);
        if before.ends_with('$') {
            continue;
        }
        let line = before.matches('\n').count() + 1;
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).into_iter().map(|module| (line, module))),
            None => found.push((line, first_word(rest))),
        }
    }
    found
}

/// The first word of each item of a group of imports, whose opening brace is cut off.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut item) = (1, String::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            heads.push(first_word(item.trim_start()));
            item.clear();
        } else {
            item.push(character);
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|character| is_word(*character)).collect()
}

/// Module names in the order of the `mod` lines of a crate's `lib.rs`.
fn module_order(sources: &[Source], lib: &str) -> Vec<String> {
    let lib = sources.iter().find(|source| source.path == lib).unwrap();
    let name = |line: &str| {
        let line = line.trim().trim_start_matches("pub ").strip_prefix("mod ")?;
        Some(line.trim_end_matches(';').to_owned())
    };
    lib.code().filter_map(|(_, line)| name(line)).collect()
}

/// The module of `lib.rs` that a file belongs to.
fn module_of<'a>(path: &'a str, source_folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(source_folder)?;
    Some(rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs"))
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let sources = sources();
    let mut faults = Vec::new();
    for folder in ["streams-state/src/", "streams-core/src/", "streams-schemas/src/"] {
        let order = module_order(&sources, &format!("{folder}lib.rs"));
        let place = |name: &str| order.iter().position(|module| module == name);
        for source in &sources {
            let Some(module) = module_of(&source.path, folder) else { continue };
            let Some(own) = place(module) else { continue };
            for (line, used) in crate_modules(source) {
                if place(&used).is_some_and(|used| used > own) {
                    faults
                        .push(source.fault(line, format!("`{module}` uses `{used}`, which stands below it")));
                }
            }
        }
    }
    check("A module may use only what stands above it in lib.rs.", faults);
}

#[test]
fn the_two_wings_never_see_each_other() {
    const WINGS: [&[&str]; 2] = [&["operators", "dsl"], &["client", "topics", "task", "runtime", "clients"]];
    let mut faults = Vec::new();
    for source in &sources() {
        let Some(module) = module_of(&source.path, "streams-core/src/") else { continue };
        for (wing, other) in [(WINGS[0], WINGS[1]), (WINGS[1], WINGS[0])] {
            if !wing.contains(&module) {
                continue;
            }
            for (line, used) in crate_modules(source) {
                if other.contains(&used.as_str()) {
                    faults.push(
                        source.fault(line, format!("`{module}` uses `{used}`, which is in the other wing")),
                    );
                }
            }
        }
    }
    check("The DSL writes the topology, the runtime reads it; they never see each other.", faults);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let rooms: [(&str, &[&str]); 4] = [
        ("metrics_facade", &["streams-core/src/metrics/publisher.rs"]),
        ("rdkafka", &["streams-core/src/client/rdkafka"]),
        ("rocksdb", &["streams-state/src/engine/rocksdb", "streams-state/benches/engine"]),
        ("tokio", &["streams-http/src/", "cookbook/embed_in_axum.rs"]),
    ];
    let mut faults = Vec::new();
    for source in &sources() {
        for (name, allowed) in rooms {
            // A file that declares a module of that name means the module.
            let module = format!("mod {name};");
            let declares = source.code().any(|(_, text)| text.trim_start_matches("pub ").trim() == module);
            if declares || allowed.iter().any(|room| source.path.starts_with(room)) {
                continue;
            }
            for (line, text) in source.code() {
                if names_crate(text, name) {
                    faults.push(
                        source.fault(line, format!("`{name}` may appear only under {}", allowed.join(", "))),
                    );
                }
            }
        }
    }
    check("The facade `metrics`, rdkafka, rocksdb and tokio appear in their own modules only.", faults);
}

#[test]
fn only_the_runtime_reads_the_clock() {
    const ROOMS: [&str; 8] = [
        "streams-core/src/runtime/",
        "streams-core/src/clients/",
        "streams-core/src/client/rdkafka/",
        "streams-schemas/src/client/",
        "streams-core/examples/",
        "streams-examples/src/",
        "cookbook/",
        "streams-cli/src/main.rs",
    ];
    let mut faults = Vec::new();
    for source in &sources() {
        if ROOMS.iter().any(|room| source.path.starts_with(room)) || source.path.contains("benches/") {
            continue;
        }
        for (line, text) in source.code() {
            if text.contains("Instant::now") || text.contains("SystemTime::now") {
                faults.push(source.fault(line, "reads the clock; take the time as an argument"));
            }
        }
    }
    check(
        "The clock is read only in runtime/, clients/, client/rdkafka/, the schema registry's client and the binaries.",
        faults,
    );
}

#[test]
fn unsafe_stays_at_the_edge_to_librdkafka() {
    // The workspace denies unsafe code; this finds the exceptions. In two halves, so as not to find itself.
    let exception = concat!("allow(", "unsafe_code");
    let mut faults = Vec::new();
    for source in
        sources().iter().filter(|source| !source.path.starts_with("streams-core/src/client/rdkafka/"))
    {
        for (line, _) in source.all().filter(|(_, text)| text.contains(exception)) {
            faults.push(source.fault(line, "allows unsafe code"));
        }
    }
    check("`unsafe` appears only under client/rdkafka.", faults);
}

#[test]
fn files_fit_on_a_walk() {
    let too_long = |source: &Source| source.code_lines > FILE_LINES_MAX;
    let fault = |source: &Source| {
        source.fault(source.code_lines, format!("over {FILE_LINES_MAX} lines without tests"))
    };
    let faults = sources().iter().filter(|source| too_long(source)).map(fault).collect();
    check("One file, one noun: split it.", faults);
}

/// Functions that are one `match` without a branch inside: a table, a line for each case, better seen whole.
const TABLES: [&str; 1] = ["by_code"];

#[test]
fn functions_fit_on_a_screen() {
    let mut faults = Vec::new();
    for source in &sources() {
        let mut open: Option<(usize, String, String)> = None; // First line, closing line, name.
        for (number, line) in (1..).zip(&source.lines[..source.code_lines]) {
            if let Some((first, closing, name)) = &open {
                if line == closing {
                    let length = number - first + 1;
                    if length > FUNCTION_LINES_MAX && !TABLES.contains(&name.as_str()) {
                        faults.push(source.fault(
                            *first,
                            format!("fn {name} has {length} lines, at most {FUNCTION_LINES_MAX}"),
                        ));
                    }
                    open = None;
                }
            } else if let Some(name) = function_name(line)
                && !line.ends_with(['}', ';'])
            {
                let indent = &line[..line.len() - line.trim_start().len()];
                open = Some((number, format!("{indent}}}"), name));
            }
        }
    }
    check("The parent holds the branches, helpers are straight lines.", faults);
}

/// The name, if this line begins a function.
fn function_name(line: &str) -> Option<String> {
    let at = line.find("fn ")?;
    const BEFORE: [&str; 8] =
        ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    if !line[..at].split_whitespace().all(|word| BEFORE.contains(&word)) {
        return None;
    }
    Some(first_word(&line[at + 3..]))
}

#[test]
fn nothing_is_left_behind() {
    // In two halves, so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
    ];
    let sleeps = [concat!("thread::", "sleep"), concat!("time::", "sleep(")];
    let mut faults = Vec::new();
    for source in &sources() {
        for (line, text) in source.all() {
            let in_tests = line > source.code_lines;
            let sleeping = sleeps.iter().filter(|_| in_tests);
            for mark in marks.iter().chain(sleeping) {
                if text.contains(mark) {
                    faults.push(source.fault(line, format!("`{mark}`")));
                }
            }
        }
    }
    check("No stubs, no ignored tests, no sleeping tests: poll a condition with a deadline.", faults);
}

/// What a reader may count on: each recipe is listed, runs, is tested, and says the same things in its head.
#[test]
fn the_cookbook_is_what_its_index_says() {
    const RECIPE_LINES_MAX: usize = 150;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cookbook");
    let [index, manifest] =
        ["README.md", "Cargo.toml"].map(|file| fs::read_to_string(root.join(file)).unwrap());
    let mut faults = Vec::new();
    let mut recipes = 0;
    for source in sources().iter().filter(|source| source.path.starts_with("cookbook/")) {
        recipes += 1;
        let file = source.path.trim_start_matches("cookbook/");
        let name = file.trim_end_matches(".rs");
        let text = source.lines.join("\n");
        let heads = ["//! In Kafka Streams: ", "//! What to watch for:"].map(str::to_owned);
        let run = format!("--bin {name}`");
        let parts = heads.into_iter().chain([run, "fn main() ".to_owned(), "#[test]".to_owned()]);
        faults.extend(
            parts.filter(|part| !text.contains(part)).map(|part| source.fault(1, format!("no `{part}`"))),
        );
        if !index.contains(&format!("| [{name}]({file}) | "))
            || !manifest.contains(&format!("path = \"{file}\""))
        {
            faults.push(source.fault(1, "is not in README.md or not in Cargo.toml"));
        }
        if source.lines.len() > RECIPE_LINES_MAX {
            faults.push(source.fault(source.lines.len(), format!("over {RECIPE_LINES_MAX} lines")));
        }
    }
    assert!(recipes >= 12, "{recipes} recipes");
    check("A recipe is one file: listed, run, tested, and with the same head as the others.", faults);
}
