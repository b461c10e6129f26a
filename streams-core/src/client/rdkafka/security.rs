//! Java's settings of TLS and SASL -> librdkafka's.
//!
//! In: the settings of one client, under either's names. Out: the same, with librdkafka's names for what is about security; or one
//! sentence that says what to do instead. Values of secrets are in no sentence.

use std::collections::BTreeMap;
use std::path::Path;

use super::properties::{JAVA_CLASS, wrong};
use crate::client::ClientError;

type Settings = BTreeMap<String, String>;

const JAAS: &str = "sasl.jaas.config";
const HOST_NAMES: &str = "ssl.endpoint.identification.algorithm";
const TLS_VERSIONS: &str =
    "must leave TLS 1.2 and 1.3 to choose from: take it out, they are what is negotiated here";
const NO_OIDC: &str = "asks librdkafka to fetch tokens, which this build cannot (it has no libcurl): fetch them in a `TokenProvider` \
     and give it to `RdKafka::with_tokens`";

/// Same value, another name.
const NAMES: [(&str, &str); 4] = [
    ("sasl.mechanism", "sasl.mechanisms"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
];

/// What nothing here can stand for.
const REFUSED: [(&str, &str); 9] = [
    ("sasl.client.callback.handler.class", JAVA_CLASS),
    (
        "sasl.login.callback.handler.class",
        "names a Java class: implement `TokenProvider` and give it to `RdKafka::with_tokens`",
    ),
    ("sasl.login.class", JAVA_CLASS),
    ("sasl.oauthbearer.jwt.retriever.class", JAVA_CLASS),
    ("sasl.oauthbearer.jwt.validator.class", JAVA_CLASS),
    ("sasl.oauthbearer.token.endpoint.url", NO_OIDC),
    ("ssl.engine.factory.class", JAVA_CLASS),
    ("ssl.provider", JAVA_CLASS),
    ("sasl.oauthbearer.method", NO_OIDC),
];

/// Puts librdkafka's settings in the place of Java's.
pub(super) fn translate(settings: &mut Settings) -> Result<(), ClientError> {
    for (key, why) in REFUSED {
        if settings.get(key).is_some_and(|value| !value.is_empty() && value != "default") {
            return Err(wrong(key, why));
        }
        settings.remove(key);
    }
    for key in ["ssl.protocol", "ssl.enabled.protocols"] {
        if let Some(versions) = settings.remove(key) {
            let both = versions.contains("TLSv1.2") && versions.contains("TLSv1.3");
            if !both && (key, versions.trim()) != ("ssl.protocol", "TLSv1.3") {
                return Err(wrong(key, TLS_VERSIONS));
            }
        }
    }
    trust_store(settings)?;
    key_store(settings)?;
    jaas(settings)?;
    for (java, name) in NAMES {
        if let Some(value) = settings.remove(java) {
            settings.insert(name.to_owned(), value);
        }
    }
    // Java's way to switch host names off is the empty string.
    if settings.get(HOST_NAMES).is_some_and(String::is_empty) {
        settings.insert(HOST_NAMES.to_owned(), "none".to_owned());
    }
    Ok(())
}

/// Who the broker will take the client for, if that can be told from its settings.
pub(super) fn principal(settings: &Settings) -> Option<String> {
    let get = |key: &str| settings.get(key).map(|value| value.to_ascii_lowercase());
    let protocol = get("security.protocol").unwrap_or_default();
    if protocol.starts_with("sasl") {
        return settings.get("sasl.username").map(|name| format!("User:{name}"));
    }
    let certificate = ["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"];
    let known = protocol != "ssl" || certificate.iter().all(|key| !settings.contains_key(*key));
    known.then(|| "User:ANONYMOUS".to_owned())
}

/// What is dangerous, though it was asked for: said once for each application, when its admin client is made.
pub(super) fn warn(settings: &Settings) {
    let is = |key: &str, value: &str| settings.get(key).is_some_and(|set| set.eq_ignore_ascii_case(value));
    if is("security.protocol", "sasl_plaintext") && is("sasl.mechanisms", "plain") {
        tracing::warn!(
            "SASL PLAIN without TLS sends the password as it is: set `security.protocol=SASL_SSL`"
        );
    }
    let tls = is("security.protocol", "ssl") || is("security.protocol", "sasl_ssl");
    if tls && is(HOST_NAMES, "none") {
        tracing::warn!(
            "host names are not checked: whoever has a certificate of a trusted CA may pass for the broker"
        );
    }
    if tls && is("enable.ssl.certificate.verification", "false") {
        tracing::warn!("certificates are not checked: anybody may pass for the broker");
    }
}

/// What a store is, by its type or else its name.
enum Form {
    Pem,
    Pkcs12,
    Java,
}

fn form(settings: &mut Settings, store: &str, location: &str) -> Result<Form, ClientError> {
    let key = format!("{store}.type");
    let extension = Path::new(location).extension().and_then(|it| it.to_str()).unwrap_or_default();
    match settings.remove(&key).unwrap_or_default().trim().to_ascii_uppercase().as_str() {
        "PEM" => Ok(Form::Pem),
        "PKCS12" => Ok(Form::Pkcs12),
        "JKS" => Ok(Form::Java),
        "" if ["pem", "crt"].contains(&extension) => Ok(Form::Pem),
        "" if ["p12", "pfx"].contains(&extension) => Ok(Form::Pkcs12),
        "" => Ok(Form::Java),
        _ => Err(wrong(&key, "must be PEM, or PKCS12 for a key store")),
    }
}

fn trust_store(settings: &mut Settings) -> Result<(), ClientError> {
    let key = "ssl.truststore.location";
    let Some(location) = settings.remove(key) else {
        settings.remove("ssl.truststore.type");
        return match settings.remove("ssl.truststore.password") {
            Some(_) => {
                Err(wrong("ssl.truststore.password", "is of no use without `ssl.truststore.location`"))
            }
            None => Ok(()),
        };
    };
    let password = settings.remove("ssl.truststore.password");
    match form(settings, "ssl.truststore", &location)? {
        Form::Pem if password.is_some() => Err(wrong(
            "ssl.truststore.password",
            "is for stores with a password, which PEM files are not: take it out",
        )),
        Form::Pem => {
            check_pem(key, &location)?;
            settings.insert("ssl.ca.location".to_owned(), location);
            Ok(())
        }
        Form::Pkcs12 | Form::Java => Err(wrong(
            key,
            &format!(
                "names a Java key store (`{location}`), which cannot be read here: export its certificates with `keytool -list -rfc \
                 -keystore {location} > ca.pem`, and set this key to `ca.pem` and `ssl.truststore.type=PEM`"
            ),
        )),
    }
}

fn key_store(settings: &mut Settings) -> Result<(), ClientError> {
    let key = "ssl.keystore.location";
    let Some(location) = settings.remove(key) else {
        settings.remove("ssl.keystore.type");
        return Ok(());
    };
    match form(settings, "ssl.keystore", &location)? {
        Form::Pem => {
            check_pem(key, &location)?;
            if settings.remove("ssl.keystore.password").is_some() {
                return Err(wrong(
                    "ssl.keystore.password",
                    "is not for PEM files: set `ssl.key.password` if the key is encrypted",
                ));
            }
            settings.insert("ssl.certificate.location".to_owned(), location.clone());
            settings.insert("ssl.key.location".to_owned(), location);
            Ok(())
        }
        // librdkafka's own setting of this name.
        Form::Pkcs12 => {
            read(key, &location)?;
            settings.insert(key.to_owned(), location);
            Ok(())
        }
        Form::Java => Err(wrong(
            key,
            &format!(
                "names a Java key store (`{location}`), which cannot be read here: convert it with `keytool -importkeystore \
                 -srckeystore {location} -destkeystore client.p12 -deststoretype PKCS12`, and set this key to `client.p12` and \
                 `ssl.keystore.type=PKCS12`"
            ),
        )),
    }
}

fn read(key: &str, location: &str) -> Result<Vec<u8>, ClientError> {
    std::fs::read(location)
        .map_err(|error| wrong(key, &format!("names the file `{location}`, which cannot be read: {error}")))
}

fn check_pem(key: &str, location: &str) -> Result<(), ClientError> {
    let bytes = read(key, location)?;
    if String::from_utf8_lossy(&bytes).contains("-----BEGIN ") {
        return Ok(());
    }
    Err(wrong(
        key,
        &format!(
            "names the file `{location}`, which is no PEM file: it has no line that begins with `-----BEGIN`"
        ),
    ))
}

/// The login module of `sasl.jaas.config`, taken apart.
fn jaas(settings: &mut Settings) -> Result<(), ClientError> {
    let Some(text) = settings.remove(JAAS) else { return Ok(()) };
    let (module, mut options) = parse_jaas(&text).ok_or_else(|| {
        wrong(JAAS, "must be `CLASS required username=\"NAME\" password=\"SECRET\";` (the value is not shown, it holds a secret)")
    })?;
    match module.rsplit('.').next().unwrap_or_default() {
        "PlainLoginModule" | "ScramLoginModule" => {
            for (option, name) in [("username", "sasl.username"), ("password", "sasl.password")] {
                let value =
                    options.remove(option).ok_or_else(|| wrong(JAAS, &format!("has no `{option}`")))?;
                settings.insert(name.to_owned(), value);
            }
            Ok(())
        }
        // Without options the tokens come from a provider.
        "OAuthBearerLoginModule" if options.is_empty() => Ok(()),
        "OAuthBearerLoginModule" if options.keys().any(|option| option.starts_with("unsecured")) => {
            Err(wrong(
                JAAS,
                "asks for unsecured tokens, which nobody should trust: give `RdKafka::with_tokens` a provider that makes them",
            ))
        }
        "OAuthBearerLoginModule" => Err(wrong(JAAS, NO_OIDC)),
        "Krb5LoginModule" => Err(wrong(
            JAAS,
            "asks for Kerberos, which this library is built without: use SCRAM, mutual TLS or OAUTHBEARER",
        )),
        _ => Err(wrong(JAAS, JAVA_CLASS)),
    }
}

/// `CLASS required key="value" key='value' key=value;`: the class and its options.
fn parse_jaas(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let text = text.trim().strip_suffix(';')?;
    let (class, rest) = text.trim_start().split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (flag, mut rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
        return None;
    }
    let mut options = BTreeMap::new();
    while !rest.trim_start().is_empty() {
        let (key, after) = rest.trim_start().split_once('=')?;
        let (value, after) = jaas_value(after.trim_start())?;
        options.insert(key.trim_end().to_owned(), value);
        rest = after;
    }
    Some((class.to_owned(), options))
}

/// A value, quoted or not, and what follows it.
fn jaas_value(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    if quote != '"' && quote != '\'' {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    }
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            end if end == quote => return Some((value, &text[at + 1..])),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn translated(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = map(pairs);
        translate(&mut settings).unwrap();
        settings
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        translate(&mut map(pairs)).unwrap_err().message
    }

    #[test]
    fn the_login_module_of_java_names_user_and_password() {
        let jaas = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
            username="alice" password='it"s \'q\\; = x';"#;
        let settings = translated(&[
            ("sasl.mechanism", "SCRAM-SHA-256"),
            (JAAS, jaas),
            ("security.protocol", "SASL_SSL"),
        ]);
        let expected = map(&[
            ("sasl.mechanisms", "SCRAM-SHA-256"),
            ("sasl.password", r#"it"s 'q\; = x"#),
            ("sasl.username", "alice"),
            ("security.protocol", "SASL_SSL"),
        ]);
        assert_eq!(settings, expected);
        assert_eq!(principal(&settings).as_deref(), Some("User:alice"));
    }

    #[test]
    fn a_login_module_that_is_wrong_is_refused_without_its_secret() {
        let words = [
            "canary",
            "a.b.PlainLoginModule required username=\"a\" password=\"canary;",
            "a.b.PlainLoginModule perhaps password=\"canary\";",
            "a.b.PlainLoginModule required password=\"canary\";",
            "a.b.OAuthBearerLoginModule required clientId=\"me\" clientSecret=\"canary\";",
            "a.b.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"canary\";",
            "a.b.Krb5LoginModule required keyTab=\"canary\";",
            "com.shop.OwnLoginModule required password=\"canary\";",
        ];
        for text in words {
            let message = refused(&[(JAAS, text)]);
            assert!(message.contains(JAAS) && !message.contains("canary"), "{text} -> {message}");
        }
    }

    #[test]
    fn stores_are_pem_files_and_java_stores_show_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name).to_str().unwrap().to_owned()
        };
        let (ca, client) =
            (file("ca.pem", "-----BEGIN CERTIFICATE-----"), file("client", "-----BEGIN PRIVATE KEY-----"));
        let settings = translated(&[
            ("ssl.truststore.location", &ca),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &client),
            ("ssl.key.password", "x"),
            (HOST_NAMES, ""),
        ]);
        let expected = map(&[
            ("ssl.ca.location", &ca),
            ("ssl.certificate.location", &client),
            (HOST_NAMES, "none"),
            ("ssl.key.location", &client),
            ("ssl.key.password", "x"),
        ]);
        assert_eq!(settings, expected);
        assert_eq!(translated(&[("ssl.keystore.location", &file("c.p12", ""))]).len(), 1);

        let jks = refused(&[("ssl.truststore.location", "/a.jks")]);
        assert!(jks.contains("keytool -list -rfc -keystore /a.jks > ca.pem"), "{jks}");
        let jks = refused(&[("ssl.keystore.location", "/a.jks"), ("ssl.keystore.type", "JKS")]);
        assert!(jks.contains("-deststoretype PKCS12"), "{jks}");
        let binary = refused(&[("ssl.truststore.location", &file("b.pem", "\u{feed}"))]);
        assert!(binary.contains("no PEM file"), "{binary}");
        let absent = refused(&[("ssl.truststore.location", "/nowhere/ca.pem")]);
        assert!(absent.contains("`/nowhere/ca.pem`") && absent.contains("cannot be read"), "{absent}");
    }

    #[test]
    fn what_is_javas_alone_is_refused_unless_it_says_the_same() {
        assert!(
            translated(&[("ssl.enabled.protocols", "TLSv1.2,TLSv1.3"), ("ssl.protocol", "TLSv1.3")])
                .is_empty()
        );
        assert!(refused(&[("ssl.enabled.protocols", "TLSv1.1")]).contains("TLS 1.2"));
        assert!(refused(&[("sasl.login.callback.handler.class", "a.B")]).contains("with_tokens"));
        assert!(refused(&[("sasl.oauthbearer.token.endpoint.url", "https://a")]).contains("TokenProvider"));
    }

    #[test]
    fn the_principal_of_a_certificate_is_the_brokers_to_say() {
        let of = |pairs: &[(&str, &str)]| principal(&map(pairs));
        assert_eq!(of(&[]).as_deref(), Some("User:ANONYMOUS"));
        assert_eq!(of(&[("security.protocol", "SSL")]).as_deref(), Some("User:ANONYMOUS"));
        assert_eq!(of(&[("security.protocol", "SSL"), ("ssl.certificate.pem", "x")]), None);
        assert_eq!(of(&[("security.protocol", "SASL_SSL")]), None);
    }
}
