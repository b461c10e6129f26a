//! Where a case runs: a registry, and names that no other case has.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use streams_schemas::{InMemoryRegistry, SchemaRegistry, SchemaRegistryConfig};

/// A case: its name, and what it does; it panics if the registry does not behave.
pub(crate) type Case = (&'static str, fn(&Place));

/// Lists functions of this module as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The cases of this file.
        pub(crate) const CASES: &[crate::place::Case] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use cases;

/// A registry for one case.
pub(crate) struct Place {
    case: &'static str,
    registry: Where,
}

enum Where {
    Memory(InMemoryRegistry),
    Http(String),
}

impl Place {
    pub(crate) fn in_memory(case: &'static str) -> Self {
        Self { case, registry: Where::Memory(InMemoryRegistry::default()) }
    }

    pub(crate) fn http(case: &'static str, url: &str) -> Self {
        Self { case, registry: Where::Http(url.to_owned()) }
    }

    /// A topic or subject of this case alone.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{}-{name}", self.case, std::process::id())
    }

    /// A connection of its own, with caches of its own.
    pub(crate) fn connect(&self, properties: &[(&str, &str)]) -> SchemaRegistry {
        let url = match &self.registry {
            Where::Memory(_) => "http://nowhere",
            Where::Http(url) => url,
        };
        let all = [("schema.registry.url", url), ("request.deadline.ms", "20000")];
        let config = SchemaRegistryConfig::from_properties(all.iter().chain(properties).copied()).unwrap();
        match &self.registry {
            Where::Memory(registry) => SchemaRegistry::new(registry.clone(), config),
            Where::Http(_) => SchemaRegistry::connect(config).unwrap(),
        }
    }

    /// The same, that does not wait for what is not there.
    pub(crate) fn connect_hasty(&self) -> SchemaRegistry {
        self.connect(&[("request.deadline.ms", "1000")])
    }
}

/// A real registry of this run; ends when it is dropped.
pub(crate) struct Apicurio {
    url: String,
    folder: Option<PathBuf>,
}

impl Apicurio {
    /// Starts it. An error says why there can be none.
    pub(crate) fn start() -> Result<Self, String> {
        if let Ok(url) = std::env::var("SCHEMA_REGISTRY_URL") {
            return Ok(Self { url, folder: None });
        }
        let folder = std::env::temp_dir().join(format!("kstreams-registry-{}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.map_err(|error| format!("no free port: {error}"))?.port();
        let output =
            script("up", &folder).args(["--port", &port.to_string()]).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| format!("cannot run scripts/registry: {error}"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(words
                .lines()
                .last()
                .unwrap_or("scripts/registry failed and said nothing")
                .to_owned());
        }
        Ok(Self { url: String::from_utf8_lossy(&output.stdout).trim().to_owned(), folder: Some(folder) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        let Some(folder) = &self.folder else { return };
        let ended = script("down", folder).status();
        if !ended.is_ok_and(|status| status.success()) || std::fs::remove_dir_all(folder).is_err() {
            println!("the registry in {} did not end", folder.display());
        }
    }
}

fn script(command: &str, folder: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut registry = Command::new(root.join("scripts/registry"));
    registry.arg(command).arg("--dir").arg(folder).stdin(Stdio::null());
    registry
}
