//! One block: checked, executed both ways as often as asked for, compared, verified and timed.
//!
//! Place in the flow: between `input` and `report`.
//! Invariant: a field is reported as verified from the candidate's own outcome; the sequential run is oracle and baseline and
//! lends it nothing. Timed is what lies between the prepared block and the outcome, and nothing else runs meanwhile.

use super::{
    Setup,
    compare::compare,
    input::{Input, ParentState},
    known::Known,
    verify::{Verdicts, check_after, check_before},
};
use crate::{
    clock::Samples,
    ending::one_line,
    report::{BlockReport, Failure, Times},
};
use alloy_primitives::B256;
use anyhow::anyhow;
use laminar_executor::{
    ExecuteError, Knowledge, Outcome, Predict,
    chain_spec::Rules,
    env::PreparedBlock,
    recover::{decode_block, recover_senders},
    sequential::{self, LeanOutcome},
};
use laminar_state_db::BlockChanges;
use revm::database_interface::DatabaseRef;

/// Replays a block.
pub(crate) fn replay(setup: &Setup, input: &Input) -> BlockReport {
    let mut run =
        Run { setup, input, report: BlockReport::new(input.name.clone(), input.chain_id), steps: Steps::default() };
    let header = &input.block.header;
    run.report.block = header.number;
    run.report.txs = input.block.body.transactions.len();
    run.report.gas_used = header.gas_used;
    if let Err(failure) = run.check_and_execute() {
        run.report.failure = Some(failure);
    }
    run.report.times = run.steps.times();
    run.report
}

struct Run<'a> {
    setup: &'a Setup,
    input: &'a Input,
    report: BlockReport,
    steps: Steps,
}

/// The steps of a block, measured apart.
#[derive(Debug, Default)]
struct Steps {
    decode: Samples,
    recover: Samples,
    sequential: Samples,
    simulate: Samples,
    parallel: Samples,
    receipts: Samples,
    root: Samples,
}

impl Steps {
    fn times(&self) -> Times {
        let path = [&self.decode, &self.recover, &self.parallel, &self.receipts, &self.root];
        let path_ms = path.iter().map(|step| step.wall_ms()).sum::<Option<f64>>();
        Times {
            sequential_ms: self.sequential.wall_ms(),
            parallel_ms: self.parallel.wall_ms(),
            cpu_ms: self.parallel.cpu_ms(),
            sequential_cpu_ms: self.sequential.cpu_ms(),
            simulate_ms: self.simulate.wall_ms(),
            decode_ms: self.decode.wall_ms(),
            recover_ms: self.recover.wall_ms(),
            receipts_ms: self.receipts.wall_ms(),
            root_ms: self.root.wall_ms(),
            path_ms,
        }
    }
}

/// A refused block is an answer; a failed read means that the input lacks something; the rest is ours.
fn failure(error: &ExecuteError) -> Failure {
    match error {
        ExecuteError::InvalidBlock { .. } => Failure::Refused(one_line(error)),
        ExecuteError::State { .. } => Failure::Unreadable(one_line(error)),
        _ => Failure::Differs(one_line(error)),
    }
}

/// Two runs of one block: the same, or the first difference.
fn differs(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Differs(one_line(error))
}

/// State roots, where the state can give them.
type RootOf<'a> = Option<&'a dyn Fn(&BlockChanges) -> Result<B256, Failure>>;

impl Run<'_> {
    fn check_and_execute(&mut self) -> Result<(), Failure> {
        let (setup, input) = (self.setup, self.input);
        let unknown_chain = |error: anyhow::Error| Failure::Unreadable(one_line(error.as_ref()));
        let spec = setup.chain(input.chain_id).map_err(unknown_chain)?;
        let rules = spec.rules_for(&input.block.header);
        self.report.fork = Some(rules.fork().name());
        check_before(&spec, &rules, input).map_err(|error| failure(&error))?;
        let raw = alloy_rlp::encode(&input.block);
        let prepared = self.prepare(&raw, rules)?;
        for _ in 1..setup.repeat.get() {
            self.prepare(&raw, rules)?;
        }
        match &input.state {
            ParentState::Plain(state) => {
                let mut oracle = self.oracle(&prepared, &**state)?;
                self.execute(&prepared, &**state, &mut oracle, None)
            }
            ParentState::Witness(state) => {
                let oracle = self.oracle(&prepared, &**state)?;
                let missing = |error: &_| Failure::Unreadable(one_line(error));
                let known = Known::new(&**state, &oracle.state).map_err(|error| missing(&error))?;
                let mut oracle =
                    sequential::execute(&input.block, &prepared, &known).map_err(|error| failure(&error))?;
                let root = |changes: &_| state.post_state_root(changes).map_err(|error| missing(&error));
                self.execute(&prepared, &known, &mut oracle, Some(&root))
            }
        }
    }

    /// From the raw block to what runs.
    fn prepare(&mut self, raw: &[u8], rules: Rules) -> Result<PreparedBlock, Failure> {
        let steps = &mut self.steps;
        let block = steps.decode.time(|| decode_block(raw)).map_err(|rule| failure(&ExecuteError::invalid(rule)))?;
        let prepared = steps.recover.time(|| {
            let senders = recover_senders(&block.body.transactions, &rules)?;
            PreparedBlock::new(rules, &block, &senders)
        });
        prepared.map_err(|error| failure(&error))
    }

    /// The sequential result; where that refuses the block, the candidate must refuse it for the same reason.
    fn oracle<'s, DB: DatabaseRef + Sync>(
        &mut self,
        prepared: &PreparedBlock,
        state: &'s DB,
    ) -> Result<LeanOutcome<'s, DB>, Failure> {
        let block = &self.input.block;
        let refusal = match sequential::execute(block, prepared, state) {
            Ok(oracle) => return Ok(oracle),
            Err(error @ ExecuteError::InvalidBlock { .. }) => error,
            Err(error) => return Err(failure(&error)),
        };
        let expected = one_line(&refusal);
        let candidate = self
            .knowledge(prepared, state)
            .and_then(|knowledge| self.setup.executor.execute(block, prepared, state, knowledge));
        let found = match candidate {
            Ok(_) => "a valid block".to_owned(),
            Err(error) => one_line(&error),
        };
        self.report.identical = Some(expected == found);
        if expected == found {
            return Err(Failure::Refused(expected));
        }
        let error = anyhow!("parallel differs from sequential in the verdict: expected {expected}, found {found}");
        Err(differs(error.as_ref()))
    }

    /// What the candidate is told before its clock starts.
    fn knowledge<DB: DatabaseRef + Sync>(
        &mut self,
        prepared: &PreparedBlock,
        state: &DB,
    ) -> Result<Knowledge, ExecuteError> {
        if let Some(lister) = &self.setup.lister {
            let outcome = lister.execute(&self.input.block, prepared, state, Knowledge::Nothing)?;
            return Ok(outcome.block_access_list.map_or(Knowledge::Nothing, Knowledge::BlockAccessList));
        }
        if self.setup.executor.config().predict != Predict::Ahead {
            return Ok(Knowledge::Nothing);
        }
        let simulate = || self.setup.executor.simulate(prepared, state);
        Ok(Knowledge::Simulations(self.steps.simulate.time(simulate)))
    }

    /// All timed runs, each compared and verified.
    fn execute<DB: DatabaseRef + Sync>(
        &mut self,
        prepared: &PreparedBlock,
        state: &DB,
        oracle: &mut LeanOutcome<'_, DB>,
        root_of: RootOf<'_>,
    ) -> Result<(), Failure> {
        for round in 0..self.setup.repeat.get() {
            // Neither always runs on the caches that the other left.
            let baseline_first = round % 2 == 0;
            if baseline_first {
                self.baseline(prepared, state)?;
            }
            let outcome = self.candidate(prepared, state)?;
            if !baseline_first {
                self.baseline(prepared, state)?;
            }
            let equal = compare(oracle, &outcome, state);
            self.report.identical = Some(equal.is_ok() && self.report.identical != Some(false));
            let root = root_of.map(|root_of| self.steps.root.time(|| root_of(&outcome.changes))).transpose()?;
            let Verdicts { verified, broken } =
                check_after(&prepared.rules, self.input, &outcome, root, &mut self.steps.receipts);
            self.report.verified = verified;
            self.report.gas_used = outcome.gas_used;
            self.report.stats = outcome.stats;
            equal.map_err(|error| differs(&*error))?;
            if let Some(rule) = broken {
                return Err(failure(&ExecuteError::invalid(rule)));
            }
        }
        Ok(())
    }

    fn baseline<DB: DatabaseRef>(&mut self, prepared: &PreparedBlock, state: &DB) -> Result<(), Failure> {
        let block = &self.input.block;
        let run = self.steps.sequential.time(|| sequential::execute(block, prepared, state));
        run.map(drop).map_err(|error| failure(&error))
    }

    fn candidate<DB: DatabaseRef + Sync>(&mut self, prepared: &PreparedBlock, state: &DB) -> Result<Outcome, Failure> {
        let block = &self.input.block;
        let unlike = |error: ExecuteError| {
            let error = anyhow::Error::from(error).context("parallel fails where sequential does not");
            differs(error.as_ref())
        };
        let knowledge = self.knowledge(prepared, state).map_err(unlike)?;
        let executor = &self.setup.executor;
        self.steps.parallel.time(|| executor.execute(block, prepared, state, knowledge)).map_err(unlike)
    }
}
