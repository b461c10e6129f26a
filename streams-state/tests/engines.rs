//! What every engine promises, and what RocksDB promises across restarts.
#![allow(clippy::unwrap_used)]

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use streams_state::engine::{Engine, EngineProvider, InMemoryProvider, MixedProvider};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn apply(engine: &mut dyn Engine, rows: &[(&str, Option<&str>)], offset: Option<i64>) {
    let mut run = rows.iter().map(|(key, value)| (key.as_bytes(), value.map(str::as_bytes)));
    engine.apply(&mut run, offset).unwrap();
}

fn scan(engine: &dyn Engine, from: Bound<&str>, to: Bound<&str>) -> Rows {
    let mut rows = Vec::new();
    let mut collect = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    engine.scan(from.map(str::as_bytes), to.map(str::as_bytes), &mut collect).unwrap();
    rows
}

fn keys(engine: &dyn Engine, from: Bound<&str>, to: Bound<&str>) -> String {
    scan(engine, from, to).into_iter().map(|(key, _)| String::from_utf8(key).unwrap() + " ").collect()
}

fn keeps_the_contract(provider: &dyn EngineProvider, directory: &Path) {
    let mut engines = provider.open(directory, &["one", "default"]).unwrap();
    let [one, other] = engines.as_mut_slice() else { panic!("two engines") };
    assert!(one.is_empty().unwrap());
    assert_eq!(one.offset().unwrap(), None);

    apply(&mut **one, &[("", Some("empty")), ("a", Some("1")), ("b", Some("")), ("c", Some("3"))], Some(7));
    assert!(other.is_empty().unwrap() && !one.is_empty().unwrap());
    assert_eq!((one.offset().unwrap(), other.offset().unwrap()), (Some(7), None));

    let mut out = b"before".to_vec();
    assert!(one.get(b"b", &mut out).unwrap() && out.is_empty());
    assert!(one.get(b"", &mut out).unwrap());
    assert_eq!(out, b"empty");
    assert!(!one.get(b"bb", &mut out).unwrap());

    use Bound::{Excluded, Included, Unbounded};
    assert_eq!(keys(&**one, Unbounded, Unbounded), " a b c ");
    assert_eq!(keys(&**one, Included("a"), Included("b")), "a b ");
    assert_eq!(keys(&**one, Excluded("a"), Excluded("c")), "b ");
    assert_eq!(keys(&**one, Included("aa"), Unbounded), "b c ");

    apply(&mut **one, &[("a", None), ("b", Some("2")), ("d", Some("4")), ("never", None)], Some(9));
    assert_eq!(keys(&**one, Unbounded, Unbounded), " b c d ");
    assert_eq!(one.offset().unwrap(), Some(9));

    one.drop_range(b"b", b"d").unwrap();
    one.drop_range(b"z", b"a").unwrap();
    assert_eq!(keys(&**one, Unbounded, Unbounded), " d ");
    apply(&mut **one, &[("b", Some("again"))], Some(10));
    assert_eq!(keys(&**one, Unbounded, Unbounded), " b d ");

    apply(&mut **other, &[("x", Some("1"))], None);
    assert_eq!(other.offset().unwrap(), None);
    one.wipe().unwrap();
    assert!(one.is_empty().unwrap());
    assert_eq!(one.offset().unwrap(), None);
    assert_eq!(keys(&**other, Unbounded, Unbounded), "x ");
    apply(&mut **one, &[("after", Some("wipe"))], Some(1));
    assert_eq!(keys(&**one, Unbounded, Unbounded), "after ");
}

#[test]
fn in_memory_keeps_the_contract() {
    keeps_the_contract(&InMemoryProvider, Path::new(""));
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    use super::*;

    #[test]
    fn is_copied_and_read_while_it_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        let (task, copy) = (root.path().join("0_0"), root.path().join("copy"));
        let provider = RocksDbProvider::new(8 << 20);
        assert!(provider.read(&task).unwrap().is_empty());
        let mut engines = provider.open(&task, &["one", "other"]).unwrap();
        apply(&mut *engines[0], &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))], Some(3));
        engines[0].drop_range(b"b", b"c").unwrap();
        engines[0].files().unwrap().checkpoint(&copy).unwrap();
        apply(&mut *engines[0], &[("a", Some("later"))], Some(4));

        let names = |directory: &Path| -> Vec<String> {
            let mut names: Vec<String> = std::fs::read_dir(directory.join("rocksdb"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        for (directory, rows, offset) in [(&copy, "a=1 c=3 ", 3), (&task, "a=later c=3 ", 4)] {
            let before = names(directory);
            let found = provider.read(directory).unwrap();
            assert_eq!(found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["one", "other"]);
            let text: String = scan(&*found[0].1, Bound::Unbounded, Bound::Unbounded)
                .into_iter()
                .map(|(key, value)| format!("{}={} ", text(key), text(value)))
                .collect();
            let flushed = text.replace("b=2 ", "");
            assert_eq!((&*flushed, found[0].1.offset().unwrap()), (rows, Some(offset)));
            assert!(found[0].1.size_bytes() > 0 && found[1].1.is_empty().unwrap());
            assert_eq!(names(directory), before, "nothing is written");
        }
        assert_eq!(
            keys(&*provider.open(&copy, &["one"]).unwrap()[0], Bound::Unbounded, Bound::Unbounded),
            "a c "
        );
        assert_eq!(keys(&*engines[0], Bound::Unbounded, Bound::Unbounded), "a c ");
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }
    use streams_state::engine::RocksDbProvider;
    use streams_state::error::StateError;

    #[test]
    fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        super::keeps_the_contract(&RocksDbProvider::new(8 << 20), directory.path());
    }

    #[test]
    fn keeps_rows_and_offsets_over_restarts_and_store_changes() {
        let directory = tempfile::tempdir().unwrap();
        let provider = RocksDbProvider::new(8 << 20);
        let mut engines = provider.open(directory.path(), &["one", "two"]).unwrap();
        apply(&mut *engines[0], &[("a", Some("1"))], Some(5));
        apply(&mut *engines[1], &[("b", Some("2"))], Some(6));
        engines[0].drop_range(b"x", b"y").unwrap();
        drop(engines);
        std::fs::write(directory.path().join("rocksdb/0.run"), "half of a run").unwrap();

        let engines = provider.open(directory.path(), &["three", "two"]).unwrap();
        assert!(engines[0].is_empty().unwrap());
        assert_eq!((engines[1].offset().unwrap(), engines[1].is_empty().unwrap()), (Some(6), false));
        let second = provider.open(directory.path(), &["two"]).err().unwrap();
        assert!(matches!(second, StateError::Locked { .. }), "{second}");
        drop(engines);
        assert!(!directory.path().join("rocksdb/0.run").exists());

        let engines = provider.open(directory.path(), &["one"]).unwrap();
        assert_eq!(keys(&*engines[0], Bound::Unbounded, Bound::Unbounded), "a ");
    }

    #[test]
    fn a_mixed_provider_keeps_only_what_is_not_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let inner = Arc::new(RocksDbProvider::new(8 << 20));
        let provider = MixedProvider::new(inner, ["memory".to_owned()]);
        let mut engines = provider.open(directory.path(), &["memory", "disk"]).unwrap();
        for engine in &mut engines {
            apply(&mut **engine, &[("a", Some("1"))], Some(1));
        }
        let durable: Vec<bool> = engines.iter().map(|engine| engine.is_durable()).collect();
        assert_eq!(durable, [false, true]);
        drop(engines);
        let engines = provider.open(directory.path(), &["memory", "disk"]).unwrap();
        let empty: Vec<bool> = engines.iter().map(|engine| engine.is_empty().unwrap()).collect();
        assert_eq!(empty, [true, false]);
    }
}

#[test]
fn a_mixed_provider_opens_in_the_order_asked() {
    let provider = MixedProvider::new(Arc::new(InMemoryProvider), ["b".to_owned()]);
    assert_eq!(provider.open(Path::new(""), &["a", "b", "c"]).unwrap().len(), 3);
}
