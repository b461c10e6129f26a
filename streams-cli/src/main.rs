//! The command line of `kstreams`: options in, tables or JSON out, exit code 0, 1 (a store differs, letters stay) or 2 (it failed).

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use std::time::SystemTime;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use streams_cli::dlq::{self, Filter, Progress, ReplayOptions};
use streams_cli::{
    Cli, Cluster, Command, DlqCommand, DlqSource, Error, Found, StateCommand, Verdict, find, inspect,
    print_inspections, print_letters, print_listing, print_replay, print_verdicts, verify,
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
    match &cli.command {
        Command::State(command) => state(command),
        Command::Dlq(command) => dead_letters(command),
    }
}

fn state(command: &StateCommand) -> Result<ExitCode, Error> {
    let engines = RocksDbProvider::new(CACHE_BYTES);
    let out = &mut std::io::stdout().lock();
    match command {
        StateCommand::Inspect(source) => {
            let kafka = kafka(&source.cluster)?;
            let supplier = kafka.as_ref().map(|kafka| kafka as _);
            let inspect = |found: &Found| inspect(found, &engines, supplier);
            let found = find(&source.state_dir, source.application_id.as_deref())?;
            let inspections = found.iter().map(inspect).collect::<Result<Vec<_>, _>>()?;
            print_inspections(&inspections, source.json, out)?;
            Ok(ExitCode::SUCCESS)
        }
        StateCommand::Verify(source) => {
            let Some(kafka) = kafka(&source.cluster)? else {
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

fn dead_letters(command: &DlqCommand) -> Result<ExitCode, Error> {
    let out = &mut std::io::stdout().lock();
    let source = match command {
        DlqCommand::List(source) => source,
        DlqCommand::Show(arguments) => &arguments.source,
        DlqCommand::Replay(arguments) => &arguments.source,
    };
    let Some(kafka) = kafka(&source.cluster)? else {
        return Err(
            "dead letters are in a cluster: give --bootstrap-server, or --properties with bootstrap.servers"
                .into(),
        );
    };
    let (filter, topic, bar) = (filter(source)?, &source.topic, bar());
    let mut tell = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.seen);
    };
    match command {
        DlqCommand::List(_) => {
            let listing = dlq::list(&kafka, topic, &filter, &mut tell)?;
            bar.finish_and_clear();
            print_listing(&listing, source.json, out)?;
        }
        DlqCommand::Show(arguments) => {
            let letters = dlq::show(&kafka, topic, &filter, arguments.limit, arguments.hex)?;
            print_letters(&letters, source.json, out)?;
        }
        DlqCommand::Replay(arguments) => {
            let options = ReplayOptions { filter, limit: arguments.limit, dry_run: arguments.dry_run };
            let replay = dlq::replay(&kafka, topic, &options, &mut tell)?;
            bar.finish_and_clear();
            print_replay(&replay, source.json, out)?;
            if !replay.left.is_empty() {
                return Ok(ExitCode::from(1));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shown on a terminal only, and not if the work is quick.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn filter(source: &DlqSource) -> Result<Filter, Error> {
    let time = |text: &String| dlq::parse_time(text, SystemTime::now());
    Ok(Filter {
        source_topics: source.source_topic.clone(),
        source_partition: source.source_partition,
        source_offsets: source.source_offsets.as_deref().map(dlq::parse_offsets).transpose()?,
        since: source.since.as_ref().map(time).transpose()?,
        until: source.until.as_ref().map(time).transpose()?,
        exception: source.error.clone(),
        message: source.message.clone(),
    })
}

/// The cluster, if one is named.
fn kafka(cluster: &Cluster) -> Result<Option<RdKafka>, Error> {
    let properties = cluster.properties.as_ref().map(read_properties_file).transpose()?.unwrap_or_default();
    let servers = cluster.bootstrap_server.as_ref().or(properties.get("bootstrap.servers"));
    let Some(servers) = servers.cloned() else { return Ok(None) };
    Ok(Some(RdKafka::new(servers, properties)))
}
