//! Paths that are not what they should be.

use std::fs;

use streams_state::directory::StateDirectory;
use streams_state::error::StateError;

use super::open;

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("0_0"), "").unwrap();
    let error = open(&root.path().join("0_0"), "0_0").err().unwrap();
    assert!(matches!(error, StateError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("0_0/rocksdb"), "{error}");
}

#[test]
fn names_do_not_lead_out_of_the_state_directory() {
    let root = tempfile::tempdir().unwrap();
    for name in ["..", ".", "", "a/b", "/etc", "../x", "a\0b"] {
        let error = StateDirectory::open(&root.path().join("state"), name).unwrap_err();
        assert!(matches!(error, StateError::Directory { .. }), "{name:?}: {error}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing was made");
}

/// Not even root may write there.
#[cfg(target_os = "linux")]
#[test]
fn a_place_that_cannot_be_written_is_named_at_the_start() {
    let error = StateDirectory::open(std::path::Path::new("/sys"), "app").unwrap_err();
    assert!(matches!(error, StateError::Directory { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/sys/app: cannot be created") && text.contains("state.dir"), "{text}");
    let error = open(std::path::Path::new("/sys/app/0_0"), "0_0").err().unwrap();
    assert!(matches!(error, StateError::Directory { .. }), "{error}");
}

/// Store names are names of column families, never of files.
#[test]
fn store_names_are_not_paths() {
    use streams_state::engine::{EngineProvider, RocksDbProvider};
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("0_0");
    let names = ["../../x", "/etc/passwd", "..", "a b\u{e4}"];
    let mut engines = RocksDbProvider::new(8 << 20).open(&directory, &names).unwrap();
    for engine in &mut engines {
        engine.apply(&mut std::iter::once((&b"k"[..], Some(&b"v"[..]))), Some(1)).unwrap();
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn all_directories_are_for_their_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(&root.path().join("state"), "app").unwrap();
    let task = state.path().join("0_0");
    drop(open(&task, "0_0").unwrap());
    for path in [root.path().join("state"), state.path().to_owned(), task.clone(), task.join("rocksdb")] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{}", path.display());
    }
}
