//! What only RocksDB's side can see: databases that this version must not touch.

use super::*;
use crate::engine::EngineProvider;

#[test]
fn refuses_a_newer_format_and_a_broken_database() {
    let directory = tempfile::tempdir().unwrap();
    let provider = RocksDbProvider::new(8 << 20);
    drop(provider.open(directory.path(), &["one"]).unwrap());
    let path = directory.path().join("rocksdb");
    {
        let db = Db::open_cf(&Options::default(), &path, ["default", "store-one"]).unwrap();
        let family = db.cf_handle("store-one").unwrap();
        db.put_cf(&family, FORMAT_KEY, (FORMAT + 1).to_be_bytes()).unwrap();
    }
    let newer = provider.open(directory.path(), &["one"]).err().unwrap();
    assert!(matches!(newer, StateError::NewerFormat { found: 2, supported: 1, .. }), "{newer}");

    std::fs::write(path.join("CURRENT"), "no manifest\n").unwrap();
    let broken = provider.open(directory.path(), &["one"]).err().unwrap();
    assert!(matches!(broken, StateError::Corrupt { .. }), "{broken}");
}
