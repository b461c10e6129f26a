//! The command line of `kstreams`: options in, tables or JSON out. Exit code 0; 1: a store or topic differs, letters stay, a topology cannot
//! go on with its state; 2: it failed, and one sentence says why.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use streams_cli::dlq::{self, Filter, Progress, ReplayOptions};
use streams_cli::{
    Cli, Cluster, Command, DescribeArguments, DescribeFormat, DiffArguments, DlqCommand, DlqSource, Error,
    PlanCommand, ResetArguments, ResetOptions, ResetTo, StateCommand, TopArguments, TopicsCommand,
    TopicsSource, Watch, acls, needs, parse_datetime, parse_duration, parse_plan, print_acls, print_actions,
    print_diff, print_letters, print_listing, print_replay, print_reset, print_topics_plan, print_topology,
    read_declared, read_topology, reset, screen,
};
use streams_core::client::ClientSupplier;
use streams_core::client::rdkafka::RdKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig, read_properties_file};
use streams_core::topics::{self, Action, ApplyOptions, Wishes};

/// How long `reset --force` waits for members that are gone.
const FORCE_PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(&Cli::parse()) {
        Ok(code) => code,
        // Whoever read the output wants no more of it: `kstreams ... | head`.
        Err(error) if is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "kstreams: {error}");
            ExitCode::from(2)
        }
    }
}

fn is_closed_pipe(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: &Cli) -> Result<ExitCode, Error> {
    match &cli.command {
        Command::State(command) => state(command),
        Command::Dlq(command) => dead_letters(command),
        Command::Topics(command) => topics(command),
        Command::Reset(arguments) => reset_application(arguments),
        Command::Describe(arguments) => describe(arguments),
        Command::Plan(PlanCommand::Diff(arguments)) => diff(arguments),
        Command::Top(arguments) => top(arguments),
        Command::Acls(arguments) => {
            print_acls(arguments, &acls(arguments)?, &mut std::io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "kstreams", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// 0, or 1 if something is not as it should be.
fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

#[cfg(feature = "rocksdb")]
fn state(command: &StateCommand) -> Result<ExitCode, Error> {
    use streams_cli::{Found, Verdict, find, inspect, print_inspections, print_verdicts, verify};
    use streams_state::engine::RocksDbProvider;

    /// Memory for blocks of files.
    const CACHE_BYTES: u64 = 32 << 20;
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
            Ok(code(!stores.any(|store| matches!(store.verdict, Verdict::Differs(_)))))
        }
    }
}

#[cfg(not(feature = "rocksdb"))]
fn state(_: &StateCommand) -> Result<ExitCode, Error> {
    Err("this program was built without RocksDB and cannot read state: build it with the feature `rocksdb`"
        .into())
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

/// A line that says what is being done, on a terminal only.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn topics(command: &TopicsCommand) -> Result<ExitCode, Error> {
    let out = &mut std::io::stdout().lock();
    let (source, apply) = match command {
        TopicsCommand::Plan(source) => (source, None),
        TopicsCommand::Apply(arguments) => (&arguments.source, Some(arguments)),
    };
    let config = application(source)?;
    if config.application_id.is_empty() {
        return Err(
            "internal topics begin with the application id: give --application-id, or --properties with \
                    application.id"
                .into(),
        );
    }
    let kafka = RdKafka::new(servers(&config, "topics are")?, config.client_properties.clone());
    let needs = needs(&source.topology, read_topology(&source.topology, &source.http)?)?;
    let declared = read_declared(source.declared.as_deref())?;
    let wishes = Wishes { needs: &needs, config: &config, declared: &declared };
    let bar = spinner();
    match apply {
        None => {
            bar.set_message("looking at topics");
            let plan = topics::plan(&mut *kafka.admin()?, &wishes)?;
            bar.finish_and_clear();
            print_topics_plan(&plan, source.json, out)?;
            Ok(code(plan.is_fulfilled()))
        }
        Some(arguments) => {
            bar.set_message("creating and changing topics");
            let (alter, add_partitions) = (arguments.alter, arguments.add_partitions);
            let done = topics::apply(&kafka, &wishes, ApplyOptions { alter, add_partitions })?;
            bar.finish_and_clear();
            print_actions(&done, source.json, out)?;
            Ok(code(!done.iter().any(|action| matches!(action.action, Action::Left { .. }))))
        }
    }
}

fn application(source: &TopicsSource) -> Result<StreamsConfig, Error> {
    let mut config = settings(&source.cluster)?;
    if let Some(id) = &source.application_id {
        config.application_id.clone_from(id);
    }
    Ok(config)
}

fn reset_application(arguments: &ResetArguments) -> Result<ExitCode, Error> {
    let options = ResetOptions {
        application_id: arguments.application_id.clone(),
        input_topics: arguments.input_topics.clone(),
        intermediate_topics: arguments.intermediate_topics.clone(),
        internal_topics: arguments.internal_topics.clone(),
        to: place(arguments)?,
        force: arguments.force.then_some(FORCE_PATIENCE),
        dry_run: arguments.dry_run,
    };
    let config = settings(&arguments.cluster)?;
    let kafka = RdKafka::new(servers(&config, "offsets are")?, config.client_properties.clone());
    let bar = spinner();
    let done = reset(&kafka, &options, &mut |doing| bar.set_message(doing.to_owned()))?;
    bar.finish_and_clear();
    print_reset(&done, arguments.json, &mut std::io::stdout().lock())?;
    Ok(code(done.missing.is_empty()))
}

/// From where input topics are read; the command line has one of these at most.
fn place(arguments: &ResetArguments) -> Result<ResetTo, Error> {
    if arguments.to_latest {
        return Ok(ResetTo::Latest);
    }
    if let Some(offset) = arguments.to_offset {
        return Ok(ResetTo::Offset(offset));
    }
    if let Some(by) = arguments.shift_by {
        return Ok(ResetTo::ShiftBy(by));
    }
    if let Some(time) = &arguments.to_datetime {
        return Ok(ResetTo::Time(parse_datetime(time)?));
    }
    if let Some(ago) = &arguments.by_duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let time = now.saturating_sub(parse_duration(ago)?);
        return Ok(ResetTo::Time(i64::try_from(time.as_millis())?));
    }
    if let Some(file) = &arguments.from_file {
        let at = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("offsets cannot be read from {at}: {error}"))?;
        return Ok(ResetTo::Plan(parse_plan(&text).map_err(|error| format!("{at}: {error}"))?));
    }
    Ok(ResetTo::Earliest)
}

fn describe(arguments: &DescribeArguments) -> Result<ExitCode, Error> {
    let topology = read_topology(&arguments.topology, &arguments.http)?;
    let format = if arguments.json { DescribeFormat::Json } else { arguments.format };
    print_topology(&arguments.topology, &topology, format, &mut std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

fn diff(arguments: &DiffArguments) -> Result<ExitCode, Error> {
    let old = read_topology(&arguments.old, &arguments.http)?;
    let new = read_topology(&arguments.new, &arguments.http)?;
    let diff = old.diff(&new);
    print_diff(&diff, arguments.json, &mut std::io::stdout().lock())?;
    Ok(code(diff.is_compatible()))
}

fn top(arguments: &TopArguments) -> Result<ExitCode, Error> {
    let wrong = |_| format!("--interval {} is no time between two looks", arguments.interval);
    let interval = Duration::try_from_secs_f64(arguments.interval).map_err(wrong)?;
    let watch = Watch::new(&arguments.url, &arguments.http)?;
    let (terminal, mut out) = (console::Term::stdout(), std::io::stdout());
    let (mut before, mut looks) = (None, 0);
    loop {
        let now = Instant::now();
        // The first look says whether this is an application at all; later it may be away for a moment.
        let look = match watch.look() {
            Ok(look) => Some(look),
            Err(error) if before.is_none() => return Err(error),
            Err(error) => {
                writeln!(out, "{error}")?;
                None
            }
        };
        if let Some(look) = look {
            if arguments.json {
                writeln!(out, "{}", look.text.trim_end())?;
            } else {
                let rates = before.as_ref().map(|(status, at)| (status, now.duration_since(*at)));
                if terminal.is_term() {
                    terminal.clear_screen()?;
                }
                write!(out, "{}", screen(&look.status, rates))?;
            }
            before = Some((look.status, now));
        }
        out.flush()?;
        looks += 1;
        if arguments.iterations.is_some_and(|most| looks >= most) {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(interval);
    }
}

/// The settings that are given: of Kafka clients, or a whole application's.
fn settings(cluster: &Cluster) -> Result<StreamsConfig, Error> {
    let properties = cluster.properties.as_ref().map(read_properties_file).transpose()?.unwrap_or_default();
    let mut config = StreamsConfig::new("", ProcessingGuarantee::AtLeastOnce);
    config.apply_properties(properties)?;
    if let Some(servers) = &cluster.bootstrap_server {
        config.bootstrap_servers.clone_from(servers);
    }
    Ok(config)
}

fn servers(config: &StreamsConfig, what: &str) -> Result<String, Error> {
    match config.bootstrap_servers.as_str() {
        "" => Err(format!(
            "{what} in a cluster: give --bootstrap-server, or --properties with bootstrap.servers"
        )
        .into()),
        servers => Ok(servers.to_owned()),
    }
}

/// The cluster, if one is named.
fn kafka(cluster: &Cluster) -> Result<Option<RdKafka>, Error> {
    let config = settings(cluster)?;
    let servers = servers(&config, "").ok();
    Ok(servers.map(|servers| RdKafka::new(servers, config.client_properties)))
}
