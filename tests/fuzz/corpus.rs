//! Where inputs begin: bytes and texts that Kafka Streams 4.3.1 wrote (`tests/data/golden`, see `tests/golden`).

use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// The recorded files.
pub(crate) struct Corpus {
    keys: Value,
    serdes: Value,
    offset_metadata: Value,
    config: Value,
}

impl Corpus {
    pub(crate) fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
        let file = |name: &str| {
            let packed = std::fs::File::open(folder.join(format!("{name}.json.gz"))).unwrap();
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        Self {
            keys: file("keys"),
            serdes: file("serdes"),
            offset_metadata: file("offset_metadata"),
            config: file("config"),
        }
    }

    /// All bytes that stand in these lists of `keys.json`, in whatever field.
    pub(crate) fn keys(&self, lists: &[&str]) -> Vec<Vec<u8>> {
        lists.iter().flat_map(|list| bytes(&self.keys[*list])).collect()
    }

    /// The vectors of a list of `keys.json`.
    pub(crate) fn vectors(&self, list: &str) -> &[Value] {
        self.keys[list].as_array().unwrap()
    }

    /// One field of the vectors of a list of `keys.json`, where it is there.
    pub(crate) fn field(&self, list: &str, field: &str) -> Vec<Vec<u8>> {
        self.vectors(list).iter().filter_map(|vector| unhex(vector[field].as_str()?)).collect()
    }

    /// All bytes of the serdes whose name begins so.
    pub(crate) fn serdes(&self, prefix: &str) -> Vec<Vec<u8>> {
        let groups = self.serdes["groups"].as_array().unwrap().iter();
        let named = groups.filter(|group| group["serde"].as_str().unwrap().starts_with(prefix));
        named.flat_map(bytes).collect()
    }

    /// Texts beside committed offsets.
    pub(crate) fn offset_metadata(&self) -> Vec<Vec<u8>> {
        let lists =
            ["encode", "decode"].into_iter().flat_map(|list| self.offset_metadata[list].as_array().unwrap());
        lists.map(|vector| vector["base64"].as_str().unwrap().as_bytes().to_vec()).collect()
    }

    /// Lines of properties: all settings with their defaults, and the values that Kafka Streams accepts and refuses.
    pub(crate) fn properties(&self) -> Vec<Vec<u8>> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let line =
            |vector: &Value, value: &str| format!("{}={}\n", text(&vector["key"]), text(&vector[value]));
        let list = |name: &str| self.config[name].as_array().unwrap().iter();
        let defaults = list("keys").map(|vector| line(vector, "default"));
        let values = list("value_checks").map(|vector| line(vector, "value"));
        let passed = list("override_outcomes")
            .map(|vector| format!("{}={}\n", text(&vector["set"]), text(&vector["to"])));
        let required = "application.id=app\nbootstrap.servers=localhost:9092\n";
        defaults.chain(values).chain(passed).map(|line| format!("{required}{line}").into_bytes()).collect()
    }
}

/// All hexadecimal texts below `value`. Some are keys or parts of what is looked for: damage like any other.
fn bytes(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::String(text) => unhex(text).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(bytes).collect(),
        Value::Object(fields) => fields.values().flat_map(bytes).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The bytes of a hexadecimal text; `None` if it is another one.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, odd) = digits.as_chunks::<2>();
    odd.is_empty().then(|| pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}
