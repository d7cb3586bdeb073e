//! `foremesh demo`: the whole loop on this machine, beside the same world without it.
//!
//! Two worlds are started with the same seeds, the same days and the same load. In one a planner runs as it would in
//! production, as a process of its own; the other is left alone. What counts is measured by the load generator, not
//! by the planner.
mod cast;
mod files;
mod outcome;
mod screen;
mod watch;

use crate::args::{DemoArgs, Output};
use anyhow::Context as _;
use cast::Cast;
use foremesh_demo::{
    Child, ChildSpec, EndpointSource, FilterSpec, LoadHandle, LoadReport, Scenario, Window, World,
    WorldPlace, envoy::find_binary, start_load, unix_ms,
};
use outcome::{Outcome, Side, UNANSWERED_SECONDS, paragraph};
use screen::Screen;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use watch::{Planner, Sight};

/// Subcommand under which this program runs the parts of a world.
const PART: &str = "demo-part";
/// Time between two pushes of a proxy: a day is seconds long here, not hours.
const PUSH_INTERVAL_MS: u64 = 250;
/// Until the first day begins: long enough to start two worlds and the planner on a slow machine.
const HEAD_START_MS: u64 = 12_000;
const START_WITHIN: Duration = Duration::from_secs(30);
const END_PATIENCE: Duration = Duration::from_secs(10);
/// After a kill the last write of a process is over.
const ENDED_AFTER: Duration = Duration::from_millis(300);
/// Exit code of a command that Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// How long a demo is.
#[derive(Clone, Copy, Debug)]
struct Length {
    day: Duration,
    learning_days: u32,
    days: u32,
}

impl Length {
    const FULL: Self = Self { day: Duration::from_secs(30), learning_days: 3, days: 7 };
    const QUICK: Self = Self { day: Duration::from_secs(30), learning_days: 3, days: 5 };
}

/// Runs the demo and prints the comparison.
///
/// # Errors
/// When something that it needs is missing or does not start; the error says what to do.
pub async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let length = if args.quick { Length::QUICK } else { Length::FULL };
    anyhow::ensure!(
        args.filter.is_file(),
        "the filter module `{}` is missing; build it with scripts/build-filter, or name another with --filter",
        args.filter.display()
    );
    let cast = args.record.as_deref().map(|path| Cast::create(path, unix_ms() / 1000)).transpose()?;
    let envoy = find_binary(args.envoy.as_deref(), args.search_path.as_deref(), Path::new("."))?;
    let directory = tempfile::Builder::new().prefix("foremesh-demo-").tempdir()?;
    let path = directory.path().to_owned();
    let stage = Stage { args, length, envoy, directory: path.clone() };
    let mut screen = Screen::new(&Scenario::demo(length.day), length.learning_days, length.days, cast);
    let outcome = tokio::select! {
        outcome = stage.run(&mut screen) => outcome,
        _ = tokio::signal::ctrl_c() => {
            // The worlds went with the run that was dropped; their processes get the moment that it takes to end.
            tokio::time::sleep(ENDED_AFTER).await;
            directory.close().with_context(|| format!("`{}` cannot be removed", path.display()))?;
            eprintln!("\ninterrupted; nothing was left behind");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    if args.keep || outcome.is_err() {
        let kept = directory.keep();
        eprintln!("logs, configuration and state are in {}", kept.display());
    }
    let outcome = outcome?;
    screen.finish(&outcome.table())?;
    match args.output {
        Output::Table => println!("{}", outcome.table()),
        Output::Json => println!("{}", serde_json::to_string(&outcome)?),
        Output::Yaml => print!("{}", yaml_serde::to_string(&outcome)?),
    }
    let broken = outcome.broken_promises();
    for promise in &broken {
        eprintln!("not kept: {promise}");
    }
    Ok(if args.verify && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that a run is made of.
#[derive(Debug)]
struct Stage<'a> {
    args: &'a DemoArgs,
    length: Length,
    envoy: PathBuf,
    directory: PathBuf,
}

impl Stage<'_> {
    async fn run(&self, screen: &mut Screen) -> anyhow::Result<Outcome> {
        eprintln!("starting two worlds of three hosts, each with its proxies; one of them gets a planner");
        let scenario = Scenario::demo(self.length.day);
        let day_start = unix_ms() + HEAD_START_MS;
        let filter = FilterSpec {
            module: self.args.filter.canonicalize()?,
            interval_ms: PUSH_INTERVAL_MS,
            edge_only: false,
        };
        let (mut alone, mut planned) = tokio::try_join!(
            self.world(&scenario, "without", EndpointSource::Host(scenario.home.clone()), None, day_start),
            self.world(&scenario, "with", EndpointSource::Planner, Some(filter), day_start),
        )?;
        let mut process = self.planner(&scenario, &planned).await?;
        let planner = Planner::new(planned.layout().planner, &scenario.service);
        planner.wait_until_alive(&mut process, START_WITHIN).await?;

        let days = 0..self.length.days;
        let load =
            |world: &World| start_load(scenario.load(world.layout().edge.listen, day_start, days.clone()));
        let (alone_load, planned_load) = (load(&alone)?, load(&planned)?);
        let must_run = || {
            alone.must_run().context("the world without Foremesh is broken")?;
            planned.must_run().context("the world with Foremesh is broken")?;
            watch::must_run(&mut process)
        };
        let loads = (alone_load, planned_load);
        let (without, with) = watch(&scenario, &planner, screen, loads, must_run).await?;
        let sight = planner.look().await;
        process.stop(END_PATIENCE).await.context("the planner did not end in order")?;
        alone.stop().await?;
        planned.stop().await?;
        Ok(Outcome::new(&scenario, self.length.learning_days, &without, &with, &sight))
    }

    async fn world(
        &self,
        scenario: &Scenario,
        name: &str,
        endpoints: EndpointSource,
        filter: Option<FilterSpec>,
        day_start: u64,
    ) -> anyhow::Result<World> {
        let directory = self.directory.join(name);
        std::fs::create_dir_all(&directory)?;
        let program = std::env::current_exe().context("this program cannot tell where it is")?;
        let place = WorldPlace {
            directory: &directory,
            program: &program,
            argv_prefix: &[PART.to_owned()],
            envoy: &self.envoy,
            filter,
        };
        let world = World::start(&scenario.world(&place, endpoints, day_start)).await?;
        world.start_service(&scenario.home, scenario.settings, START_WITHIN).await?;
        Ok(world)
    }

    /// Starts `foremesh serve` on a world, with the files that an operator would write.
    async fn planner(&self, scenario: &Scenario, world: &World) -> anyhow::Result<Child> {
        let config = files::write(world.layout(), scenario)?;
        Ok(Child::start(ChildSpec {
            name: "planner".to_owned(),
            program: std::env::current_exe()?,
            arguments: ["serve", "--config"]
                .map(Into::into)
                .into_iter()
                .chain([config.into_os_string()])
                .collect(),
            log: world.layout().directory.join("planner.log"),
        })
        .await?)
    }
}

/// Follows both loads to their end, second by second, while everything runs that must.
async fn watch(
    scenario: &Scenario,
    planner: &Planner,
    screen: &mut Screen,
    (mut alone, mut planned): (LoadHandle, LoadHandle),
    mut must_run: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(Side, Side)> {
    let (mut without, mut with) = (Side::default(), Side::default());
    loop {
        let (a, b) = tokio::join!(alone.windows.recv(), planned.windows.recv());
        let (Some(a), Some(b)) = (a, b) else { break };
        without.add(scenario, &a);
        with.add(scenario, &b);
        must_run()?;
        if without.is_unanswered() {
            return Err(unanswered("without", alone).await);
        }
        if with.is_unanswered() {
            return Err(unanswered("with", planned).await);
        }
        let sight = planner.look().await;
        screen.show(&a, &b, &sight);
    }
    without.report = Some(finish(alone).await?);
    with.report = Some(finish(planned).await?);
    Ok((without, with))
}

/// Why a world is broken although everything in it runs.
async fn unanswered(name: &str, load: LoadHandle) -> anyhow::Error {
    load.stop();
    let report = match finish(load).await {
        Ok(report) => report,
        Err(error) => return error,
    };
    let why = report.failures.last().map_or("none has ended", |failure| failure.text.as_str());
    anyhow::anyhow!(
        "no request was answered in the first {UNANSWERED_SECONDS} s of the world {name} Foremesh: {why}; the logs of its \
         Envoys and of the planner say more"
    )
}

/// The rest of a load, whose windows may have one left when the other load's had none.
async fn finish(mut load: LoadHandle) -> anyhow::Result<LoadReport> {
    while load.windows.recv().await.is_some() {}
    Ok(load.finish().await?)
}
