//! The command line of `kstreams`: options in, tables or JSON out, exit code 0, 1 (a store differs) or 2 (it failed).

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use streams_cli::{
    Cli, Command, Error, Found, Source, StateCommand, Verdict, find, inspect, print_inspections,
    print_verdicts, verify,
};
use streams_core::client::rdkafka::RdKafka;
use streams_core::config::read_properties_file;
use streams_state::engine::RocksDbProvider;

/// Memory for blocks of files.
const CACHE_BYTES: u64 = 32 << 20;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "kstreams: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Error> {
    let engines = RocksDbProvider::new(CACHE_BYTES);
    let out = &mut std::io::stdout().lock();
    let Command::State(command) = &cli.command;
    match command {
        StateCommand::Inspect(source) => {
            let kafka = kafka(source)?;
            let supplier = kafka.as_ref().map(|kafka| kafka as _);
            let inspect = |found: &Found| inspect(found, &engines, supplier);
            let found = find(&source.state_dir, source.application_id.as_deref())?;
            let inspections = found.iter().map(inspect).collect::<Result<Vec<_>, _>>()?;
            print_inspections(&inspections, source.json, out)?;
            Ok(ExitCode::SUCCESS)
        }
        StateCommand::Verify(source) => {
            let Some(kafka) = kafka(source)? else {
                return Err("verify needs the changelogs: give --bootstrap-server".into());
            };
            let found = find(&source.state_dir, source.application_id.as_deref())?;
            let verify = |found: &Found| verify(found, &engines, &kafka);
            let verifications = found.iter().map(verify).collect::<Result<Vec<_>, _>>()?;
            print_verdicts(&verifications, source.json, out)?;
            let mut stores = verifications.iter().flat_map(|verification| &verification.stores);
            let differs = stores.any(|store| matches!(store.verdict, Verdict::Differs(_)));
            Ok(if differs { ExitCode::from(1) } else { ExitCode::SUCCESS })
        }
    }
}

/// The cluster, if one is named.
fn kafka(source: &Source) -> Result<Option<RdKafka>, Error> {
    let Some(servers) = &source.bootstrap_server else { return Ok(None) };
    let properties = source.command_config.as_ref().map(read_properties_file).transpose()?;
    Ok(Some(RdKafka::new(servers.as_str(), properties.unwrap_or_default())))
}
