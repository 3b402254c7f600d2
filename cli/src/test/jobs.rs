//! Threads that take files from the stream and run their cases.
//!
//! Place in the flow: between the loader and the report.
//! Invariant: at most one undecoded and one decoded file a job is in memory; a case that panics has failed, and its job goes on
//! with a new executor.

use super::{
    Kind, blockchain, payloads,
    report::{CaseReport, Report, Verdict},
    rlp,
    runner::{Ended, Runner},
    state, transaction, trie,
    work::Work,
};
use crate::ending::{flat, one_line};
use anyhow::anyhow;
use laminar_executor::Config;
use laminar_fixtures::{
    Entries, Fixture, FixtureError, Loaded, RawEntry,
    official::{Cases, StateTest},
};
use regex::Regex;
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

/// What to run and with what.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    /// Every job's executor.
    pub(crate) config: Config,
    pub(crate) kind: Kind,
    /// Run only what matches `file: case`.
    pub(crate) filter: Option<&'a Regex>,
    pub(crate) jobs: NonZeroUsize,
}

/// What a job tells the report.
enum Message {
    Case(CaseReport),
    Work(Work),
}

/// Runs all tests of a stream.
///
/// # Errors
/// Threads do not start, or stdout cannot be written. What is wrong with a file or a case is reported.
pub(crate) fn run(plan: &Plan<'_>, origin: &str, entries: Entries, report: &mut Report) -> anyhow::Result<()> {
    let entries = Mutex::new(entries);
    thread::scope(|scope| {
        let (sender, messages) = channel();
        let mut jobs = Vec::new();
        for number in 0..plan.jobs.get() {
            let (sender, entries) = (sender.clone(), &entries);
            let job = thread::Builder::new().name(format!("job-{number}"));
            jobs.push(job.spawn_scoped(scope, move || work(plan, origin, entries, &sender))?);
        }
        drop(sender);
        for message in messages {
            match message {
                Message::Case(case) => report.case(case)?,
                Message::Work(work) => report.work(&work),
            }
        }
        for job in jobs {
            job.join().map_err(|panic| anyhow!("a job panicked: {}", panic_text(&*panic)))??;
        }
        Ok(())
    })
}

fn work(plan: &Plan<'_>, origin: &str, entries: &Mutex<Entries>, sender: &Sender<Message>) -> anyhow::Result<()> {
    let mut job = Job { plan, runner: Runner::new(plan.config.clone())?, work: Work::default(), sender };
    loop {
        // A panic inside the loader leaves it where it was; the next file may be fine.
        let entry = entries.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(entry) = entry else { break };
        job.file(origin, entry)?;
    }
    job.work.add(&job.runner.work);
    // The report hangs up only when it failed itself, and says so.
    let _ = sender.send(Message::Work(job.work));
    Ok(())
}

struct Job<'a> {
    plan: &'a Plan<'a>,
    runner: Runner,
    /// Of executors that were given up.
    work: Work,
    sender: &'a Sender<Message>,
}

impl Job<'_> {
    fn file(&mut self, origin: &str, entry: Result<RawEntry, FixtureError>) -> anyhow::Result<()> {
        let name = entry.as_ref().map_or_else(|_| origin.to_owned(), |entry| entry.name.clone());
        let loaded = catch_unwind(AssertUnwindSafe(|| entry.and_then(laminar_fixtures::decode)));
        match loaded {
            Ok(Ok(loaded)) => self.fixture(loaded),
            Ok(Err(error)) => {
                self.send(name, String::new(), None, Verdict::Failed(one_line(&error)));
                Ok(())
            }
            Err(panic) => {
                self.send(name, String::new(), None, Verdict::Failed(format!("panicked: {}", panic_text(&*panic))));
                Ok(())
            }
        }
    }

    fn fixture(&mut self, loaded: Loaded) -> anyhow::Result<()> {
        let Loaded { name: file, fixture } = loaded;
        match Kind::of(&fixture) {
            Ok(kind) if self.plan.kind == Kind::Auto || self.plan.kind == kind => {}
            Err(what) if self.plan.kind == Kind::Auto => {
                self.send(file, String::new(), None, Verdict::Skipped(what.to_owned()));
                return Ok(());
            }
            _ => return Ok(()),
        }
        match fixture {
            Fixture::StateTests(cases) => self.state_tests(&file, cases),
            Fixture::BlockchainTests(cases) => {
                self.each(&file, cases, |test| Some(test.network.clone()), blockchain::run)
            }
            Fixture::EngineTests(cases) => self.each(&file, cases, |test| Some(test.network.clone()), payloads::run),
            Fixture::TrieTests(cases) => self.each(&file, cases, |_| None, |test, _| trie::run(test)),
            Fixture::RlpTests(cases) => self.each(&file, cases, |_| None, |test, _| rlp::run(test)),
            Fixture::TransactionTests(cases) => self.each(&file, cases, |_| None, |test, _| transaction::run(test)),
            _ => Ok(()),
        }
    }

    fn each<T>(
        &mut self,
        file: &str,
        cases: Cases<T>,
        fork: impl Fn(&T) -> Option<String>,
        run: impl Fn(&T, &mut Runner) -> anyhow::Result<Ended>,
    ) -> anyhow::Result<()> {
        for (case, test) in cases {
            self.case(file, case, fork(&test), |runner| run(&test, runner))?;
        }
        Ok(())
    }

    /// Each fork and each choice of data, gas and value is a case.
    fn state_tests(&mut self, file: &str, cases: Cases<StateTest>) -> anyhow::Result<()> {
        for (name, test) in cases {
            let only_one = test.post.values().map(Vec::len).sum::<usize>() == 1;
            for (fork, posts) in &test.post {
                for (position, post) in posts.iter().enumerate() {
                    let case = if only_one { name.clone() } else { format!("{name} [{fork} {position}]") };
                    self.case(file, case, Some(fork.clone()), |runner| state::run(&test, fork, post, runner))?;
                }
            }
        }
        Ok(())
    }

    fn case(
        &mut self,
        file: &str,
        case: String,
        fork: Option<String>,
        run: impl FnOnce(&mut Runner) -> anyhow::Result<Ended>,
    ) -> anyhow::Result<()> {
        if self.plan.filter.is_some_and(|filter| !filter.is_match(&format!("{file}: {case}"))) {
            return Ok(());
        }
        let runner = &mut self.runner;
        let verdict = match catch_unwind(AssertUnwindSafe(|| run(runner))) {
            Ok(Ok(Ended::Passed)) => Verdict::Passed,
            Ok(Ok(Ended::Skipped(why))) => Verdict::Skipped(why),
            Ok(Err(error)) => Verdict::Failed(one_line(error.as_ref())),
            Err(panic) => {
                self.work.add(&self.runner.work);
                self.runner = Runner::new(self.plan.config.clone())?;
                Verdict::Failed(format!("panicked: {}", panic_text(&*panic)))
            }
        };
        self.send(file.to_owned(), case, fork, verdict);
        Ok(())
    }

    fn send(&self, file: String, case: String, fork: Option<String>, verdict: Verdict) {
        // As above: the report says why it hung up.
        let _ = self.sender.send(Message::Case(CaseReport { file, case, fork, verdict }));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    flat(&text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}
