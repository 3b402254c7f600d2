//! Which pairs of words a call hashes to find slots of mappings, learned from earlier calls of the same function.
//!
//! Place in the flow: [`super::mapping_keys`] asks it what the calls that a worker is about to run will hash, and tells it what
//! was hashed and not foreseen.
//! Invariant: it gives messages and never a hash, so it cannot be wrong about one: a template that does not fit makes hashes
//! that nobody asks for, and is given up. It reads no state and knows no code: a function is a contract and a selector.
//!
//! A token's `transfer` hashes (sender, place of balances) and (first argument, place of balances); `transferFrom` also
//! (first argument, place of allowances) and (sender, that hash).

use alloy_primitives::{Address, B256, TxKind, map::HashMap};
use revm::context_interface::Transaction;

/// Bytes of a pair of words.
pub(super) const PAIR: usize = 64;
const WORD: usize = 32;

/// Functions that are remembered; when there are more, all are forgotten.
const FUNCTIONS_MAX: usize = 4096;
/// Pairs of one function.
const PAIRS_MAX: usize = 6;
/// Arguments that are looked at.
const ARGUMENTS_MAX: u8 = 8;
/// Pairs not foreseen from which a function is learned; what it hashes after them is not looked at any more.
const LESSONS_MAX: u32 = 64;
/// Pairs made of a template from which on a quarter of them must have been of use. Those made last were not asked for yet.
const TRIAL: u32 = 256;

/// What a message call of a transaction says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    sender: Address,
    target: Address,
    selector: [u8; 4],
    arguments: &'a [u8],
}

impl<'a> Call<'a> {
    /// The call that a transaction makes, if it makes one with a selector.
    pub(super) fn of(tx: &'a impl Transaction) -> Option<Self> {
        let TxKind::Call(target) = tx.kind() else { return None };
        let (selector, arguments) = tx.input().split_first_chunk()?;
        Some(Self { sender: tx.caller(), target, selector: *selector, arguments })
    }

    fn argument(&self, at: u8) -> Option<B256> {
        let start = usize::from(at) * WORD;
        self.arguments.get(start..start + WORD).map(B256::from_slice)
    }
}

/// Where a hashed word comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Sender,
    Argument(u8),
    /// The hash of an earlier pair of the same function: a mapping in a mapping.
    Pair(u8),
    Constant(B256),
}

type Pair = [Source; 2];

#[derive(Debug, Default)]
struct Template {
    pairs: Vec<Pair>,
    lessons: u32,
    made: u32,
    used: u32,
}

/// What calls of the functions seen so far hash.
#[derive(Debug, Default)]
pub(super) struct Templates {
    by_function: HashMap<(Address, [u8; 4]), u32>,
    templates: Vec<Template>,
}

/// Which template made a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Maker(u32);

impl Templates {
    /// Calls `make` for each pair that `call` will hash, most likely, with nested mappings if `nested` and else without; whether
    /// there are nested ones. `hash_of` gives hashes that are known already.
    pub(super) fn for_each_pair(
        &mut self,
        call: &Call<'_>,
        nested: bool,
        hash_of: impl Fn(&[u8; PAIR]) -> Option<B256>,
        mut make: impl FnMut([u8; PAIR], Maker),
    ) -> bool {
        let Some(&at) = self.by_function.get(&(call.target, call.selector)) else { return false };
        let template = &mut self.templates[at as usize];
        if template.made >= TRIAL && template.used < template.made / 4 {
            template.pairs.clear();
            template.lessons = LESSONS_MAX;
        }
        for pair in template.pairs.iter().filter(|pair| is_nested(pair) == nested) {
            if let Some(message) = template.message(pair, call, &hash_of).filter(|message| hash_of(message).is_none()) {
                template.made += 1;
                make(message, Maker(at));
            }
        }
        template.pairs.iter().any(is_nested)
    }

    /// Notes that a pair made by `maker` was asked for.
    pub(super) fn note_used(&mut self, maker: Maker) {
        if let Some(template) = self.templates.get_mut(maker.0 as usize) {
            template.used += 1;
        }
    }

    /// Learns from a pair that `call` hashed and that was not foreseen.
    pub(super) fn learn(
        &mut self,
        call: &Call<'_>,
        message: &[u8; PAIR],
        hash_of: impl Fn(&[u8; PAIR]) -> Option<B256>,
    ) {
        if self.by_function.len() >= FUNCTIONS_MAX {
            *self = Self::default();
        }
        let next = u32::try_from(self.templates.len()).expect("functions are few");
        let at = *self.by_function.entry((call.target, call.selector)).or_insert(next);
        if at == next {
            self.templates.push(Template::default());
        }
        let template = &mut self.templates[at as usize];
        if template.lessons == LESSONS_MAX || template.pairs.len() == PAIRS_MAX {
            return;
        }
        template.lessons += 1;
        let (first, second) = message.split_at(WORD);
        let [first, second] = [first, second].map(B256::from_slice);
        // Of two words one is the mapping's place: most likely the one that is small, and if both are, the second.
        let place = |word: B256| word.starts_with(&[0; WORD - 8]).then_some(Source::Constant(word));
        let second = place(second).unwrap_or_else(|| template.source(second, call, &hash_of));
        let pair = [template.source(first, call, &hash_of), second];
        let varies = pair.iter().any(|source| !matches!(source, Source::Constant(_)));
        if varies && !template.pairs.contains(&pair) {
            template.pairs.push(pair);
        }
    }
}

impl Template {
    fn source(&self, word: B256, call: &Call<'_>, hash_of: impl Fn(&[u8; PAIR]) -> Option<B256>) -> Source {
        if word == call.sender.into_word() {
            return Source::Sender;
        }
        if let Some(at) = (0..ARGUMENTS_MAX).find(|at| call.argument(*at) == Some(word)) {
            return Source::Argument(at);
        }
        let is_hash =
            |pair: &Pair| self.message(pair, call, &hash_of).and_then(|message| hash_of(&message)) == Some(word);
        match self.pairs.iter().position(is_hash).map(u8::try_from) {
            Some(Ok(at)) => Source::Pair(at),
            _ => Source::Constant(word),
        }
    }

    /// What `call` hashes for `pair`; `None` if it has too few arguments, or a hash that it needs is not known.
    fn message(
        &self,
        pair: &Pair,
        call: &Call<'_>,
        hash_of: impl Fn(&[u8; PAIR]) -> Option<B256>,
    ) -> Option<[u8; PAIR]> {
        let flat = |source| match source {
            Source::Sender => Some(call.sender.into_word()),
            Source::Argument(at) => call.argument(at),
            Source::Constant(word) => Some(word),
            Source::Pair(_) => None,
        };
        let word = |source| match source {
            Source::Pair(at) => {
                let [first, second] = *self.pairs.get(usize::from(at))?;
                hash_of(&join(flat(first)?, flat(second)?))
            }
            other => flat(other),
        };
        Some(join(word(pair[0])?, word(pair[1])?))
    }
}

fn is_nested(pair: &Pair) -> bool {
    pair.iter().any(|source| matches!(source, Source::Pair(_)))
}

fn join(first: B256, second: B256) -> [u8; PAIR] {
    let mut message = [0; PAIR];
    message[..WORD].copy_from_slice(first.as_slice());
    message[WORD..].copy_from_slice(second.as_slice());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use std::cell::RefCell;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const BALANCES: B256 = B256::with_last_byte(2);
    const ALLOWANCES: B256 = B256::with_last_byte(3);

    /// A call by account `sender` with accounts and numbers as arguments.
    struct Said {
        sender: Address,
        arguments: Vec<u8>,
    }

    impl Said {
        fn new(sender: u64, arguments: &[B256]) -> Self {
            Self { sender: account(sender), arguments: arguments.concat() }
        }

        fn call(&self) -> Call<'_> {
            Call { sender: self.sender, target: TOKEN, selector: [1; 4], arguments: &self.arguments }
        }
    }

    fn account(number: u64) -> Address {
        Address::from_word(keccak256(number.to_be_bytes()))
    }

    /// Everything hashed so far.
    #[derive(Default)]
    struct Hashes(RefCell<HashMap<[u8; PAIR], B256>>);

    impl Hashes {
        fn hash(&self, first: B256, second: B256) -> B256 {
            *self.0.borrow_mut().entry(join(first, second)).or_insert_with(|| keccak256(join(first, second)))
        }

        fn get(&self, message: &[u8; PAIR]) -> Option<B256> {
            self.0.borrow().get(message).copied()
        }
    }

    /// Learns from `lesson`, which hashes `pairs`, and then foresees those of `next`.
    #[track_caller]
    fn check(lesson: &Said, pairs: &[[B256; 2]], next: &Said, want: &[[B256; 2]]) {
        let (mut templates, hashes) = (Templates::default(), Hashes::default());
        for [first, second] in pairs {
            hashes.hash(*first, *second);
            templates.learn(&lesson.call(), &join(*first, *second), |message| hashes.get(message));
        }
        let mut made = Vec::new();
        for nested in [false, true] {
            let before = made.len();
            templates.for_each_pair(
                &next.call(),
                nested,
                |message| hashes.get(message),
                |message, _| made.push(message),
            );
            for message in &made[before..] {
                hashes.hash(B256::from_slice(&message[..WORD]), B256::from_slice(&message[WORD..]));
            }
        }
        assert_eq!(made, want.iter().map(|[first, second]| join(*first, *second)).collect::<Vec<_>>());
    }

    #[test]
    fn what_one_call_hashed_is_foreseen_of_the_next() {
        let word = |number| account(number).into_word();
        let (ours, theirs) = (Said::new(1, &[word(2), word(3)]), Said::new(4, &[word(5), word(6)]));
        let nested = |owner, spender| [word(spender), keccak256(join(word(owner), ALLOWANCES))];
        // transfer, in the order of Solidity and of Vyper
        check(&ours, &[[word(1), BALANCES], [word(2), BALANCES]], &theirs, &[[word(4), BALANCES], [word(5), BALANCES]]);
        check(&ours, &[[BALANCES, word(1)], [BALANCES, word(2)]], &theirs, &[[BALANCES, word(4)], [BALANCES, word(5)]]);
        // transferFrom
        check(
            &ours,
            &[[word(2), ALLOWANCES], nested(2, 1), [word(3), BALANCES]],
            &theirs,
            &[[word(5), ALLOWANCES], [word(6), BALANCES], nested(5, 4)],
        );
        // nothing of the call
        check(&ours, &[[word(9), BALANCES], [BALANCES, ALLOWANCES]], &theirs, &[]);
        // too few arguments, and hashes that are known
        check(&ours, &[[word(3), BALANCES]], &Said::new(4, &[word(5)]), &[]);
        check(&ours, &[[word(1), BALANCES]], &ours, &[]);
    }

    #[test]
    fn a_template_that_is_of_no_use_is_given_up_and_one_of_use_is_not() {
        for of_use in [true, false] {
            let mut templates = Templates::default();
            let lesson = Said::new(0, &[]);
            templates.learn(&lesson.call(), &join(lesson.sender.into_word(), BALANCES), |_| None);
            let mut made = 0;
            for sender in 1..=1_000 {
                let mut makers = Vec::new();
                templates.for_each_pair(&Said::new(sender, &[]).call(), false, |_| None, |_, maker| makers.push(maker));
                made += makers.len();
                makers.into_iter().filter(|_| of_use).for_each(|maker| templates.note_used(maker));
            }
            assert_eq!(made, if of_use { 1_000 } else { TRIAL as usize });
        }
    }

    #[test]
    fn functions_and_pairs_are_bounded() {
        let mut templates = Templates::default();
        for function in 0..3 * FUNCTIONS_MAX {
            let said = Said::new(function as u64, &[]);
            let target = account(function as u64 / 2);
            for place in 0..2 * PAIRS_MAX as u8 {
                let call = Call { target, ..said.call() };
                templates.learn(&call, &join(said.sender.into_word(), B256::with_last_byte(place)), |_| None);
            }
            assert!(templates.templates.len() <= FUNCTIONS_MAX);
            assert!(templates.templates.iter().all(|template| template.pairs.len() <= PAIRS_MAX));
        }
    }
}
