//! `config.providers`: values that stand elsewhere, in a file or in the environment, as Kafka's own three providers find them.
//!
//! In: properties with `${file:/etc/kafka/secrets:password}`, `${directory:/run/secrets:kafka}` or `${env:KAFKA_PASSWORD}` in their
//! values. Out: the same with what stands there. As in Java, what was found is not looked through again.

use std::collections::BTreeMap;
use std::path::Path;

use super::client_keys;

const PROVIDERS: &str = "config.providers";

/// Where a provider looks.
#[derive(Clone, Copy)]
enum Place {
    /// A key of a properties file.
    File,
    /// A file of a directory.
    Directory,
    /// A variable of the environment.
    Environment,
}

/// Puts what stands elsewhere into `properties`, and takes the providers out of them. Faults go to `faults`, without values.
pub(super) fn resolve(properties: &mut BTreeMap<String, String>, faults: &mut Vec<String>) {
    let Some(names) = properties.remove(PROVIDERS) else { return };
    let mut places = BTreeMap::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match place(properties, name) {
            Ok(place) => drop(places.insert(name.to_owned(), place)),
            Err(fault) => faults.push(fault),
        }
    }
    properties.retain(|key, _| !key.starts_with("config.providers."));
    for (key, value) in properties.iter_mut().filter(|(_, value)| value.contains("${")) {
        match replaced(value, &places) {
            Ok(text) => *value = text,
            Err(why) => faults.push(format!("`{key}` cannot be had: {why}")),
        }
    }
}

fn place(properties: &BTreeMap<String, String>, name: &str) -> Result<Place, String> {
    let key = format!("config.providers.{name}.class");
    let class = properties.get(&key).map(String::as_str).unwrap_or_default().trim();
    if let Some(parameter) =
        properties.keys().find(|key| key.starts_with(&format!("config.providers.{name}.param.")))
    {
        return Err(format!("`{parameter}` has no effect here; take it out"));
    }
    match class.strip_prefix("org.apache.kafka.common.config.provider.").unwrap_or(class) {
        "FileConfigProvider" => Ok(Place::File),
        "DirectoryConfigProvider" => Ok(Place::Directory),
        "EnvVarConfigProvider" => Ok(Place::Environment),
        _ => Err(format!(
            "`{key}` is `{class}`; it must be FileConfigProvider, DirectoryConfigProvider or EnvVarConfigProvider (other Java classes \
             cannot be loaded here: give secrets of another kind to the clients in code)"
        )),
    }
}

/// `text` with what its `${provider:path:key}` stand for. One of a provider that was not declared stays as it is.
fn replaced(text: &str, places: &BTreeMap<String, Place>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let reference = after.split_once('}').and_then(|(reference, after)| {
            let (provider, place) = reference.split_once(':')?;
            Some((places.get(provider)?, reference, place, after))
        });
        match reference {
            Some((provider, reference, place, after)) => {
                result.push_str(&found(*provider, place).map_err(|why| format!("`${{{reference}}}` {why}"))?);
                rest = after;
            }
            None => {
                result.push_str("${");
                rest = after;
            }
        }
    }
    Ok(result + rest)
}

fn found(provider: Place, place: &str) -> Result<String, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    match provider {
        Place::Environment => {
            std::env::var(place).map_err(|_| "is not in the environment of this process".to_owned())
        }
        Place::Directory => {
            let (directory, file) = place.rsplit_once(':').ok_or("names no file in the directory")?;
            std::fs::read_to_string(Path::new(directory).join(file)).map_err(|error| unreadable(&error))
        }
        Place::File => {
            let (file, key) = place.rsplit_once(':').ok_or("names no key in the file")?;
            let file = super::read_properties_file(file).map_err(|error| unreadable(&error))?;
            file.get(key).cloned().ok_or_else(|| "is not in that file".to_owned())
        }
    }
}

/// Whether a file with secrets in it can be read by others than its owner, which is worth a warning.
#[cfg(unix)]
pub(super) fn warn_if_open(path: &Path, properties: &BTreeMap<String, String>) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0);
    let secret = |(key, value): (&String, &String)| client_keys::is_secret(key) && !value.contains("${");
    if open && properties.iter().any(secret) {
        tracing::warn!(
            "{} holds secrets, and everybody on this machine can read it: chmod 600",
            path.display()
        );
    }
}

#[cfg(not(unix))]
pub(super) fn warn_if_open(_: &Path, _: &BTreeMap<String, String>) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(pairs: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let mut properties =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut faults = Vec::new();
        resolve(&mut properties, &mut faults);
        (properties, faults)
    }

    const CLASSES: [(&str, &str); 4] = [
        ("config.providers", "file, env,dir"),
        ("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
        ("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"),
        ("config.providers.dir.class", "DirectoryConfigProvider"),
    ];

    #[test]
    fn values_come_from_files_directories_and_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.properties");
        std::fs::write(&file, "password=a ${env:PATH} b\n").unwrap();
        std::fs::write(folder.path().join("token"), "xyz").unwrap();
        let from_file = format!("user=\"me\" password=\"${{file:{}:password}}\";", file.display());
        let from_directory = format!("${{dir:{}:token}}", folder.path().display());
        let mut given = CLASSES.to_vec();
        given.extend([
            ("sasl.jaas.config", from_file.as_str()),
            ("app.token", &from_directory),
            ("app.path", "${env:PATH}"),
            ("app.other", "${vault:a:b} ${open"),
        ]);
        let (properties, faults) = resolved(&given);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(properties["sasl.jaas.config"], "user=\"me\" password=\"a ${env:PATH} b\";");
        assert_eq!(properties["app.token"], "xyz");
        assert_eq!(properties["app.path"], std::env::var("PATH").unwrap());
        assert_eq!(properties["app.other"], "${vault:a:b} ${open");
        assert_eq!(properties.len(), 4, "the providers are taken out");
    }

    #[test]
    fn what_cannot_be_had_is_said_with_its_key() {
        let mut given = CLASSES.to_vec();
        given.push(("sasl.password", "${env:KSTREAMS_SURELY_NOT_SET}"));
        given.push(("ssl.key.password", "${file:/nowhere/secrets:x}"));
        let (_, faults) = resolved(&given);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[0]
                .starts_with("`sasl.password` cannot be had: `${env:KSTREAMS_SURELY_NOT_SET}` is not in")
        );
        assert!(faults[1].contains("/nowhere/secrets"), "{faults:?}");
        let (_, faults) =
            resolved(&[("config.providers", "vault"), ("config.providers.vault.class", "com.shop.Vault")]);
        assert!(faults[0].contains("`com.shop.Vault`; it must be FileConfigProvider"), "{faults:?}");
        let (properties, faults) = resolved(&[("sasl.password", "${env:HOME}")]);
        assert!(
            faults.is_empty() && properties["sasl.password"] == "${env:HOME}",
            "nobody asked for providers"
        );
    }
}
