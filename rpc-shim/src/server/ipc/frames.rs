//! Requests out of a stream of bytes: JSON values one after the other, with or without newlines between them.
//!
//! Place in the flow: a connection's bytes come in, whole requests go to `connection`.
//! Invariant: what is kept is bounded by the longest allowed request; each byte is looked at once. Whether a value is valid JSON
//! is for the parser to say: here only its end is found.

/// A request in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An object or an array, or a line that is neither.
    Whole(Vec<u8>),
    /// A request that is longer than allowed. Where it ends is not known, so nothing after it can be read.
    TooLong,
}

/// Finds the ends of JSON values.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// How many of `bytes` were looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    len_max: usize,
}

impl Frames {
    /// Nothing so far; requests are at most so many bytes long.
    pub(super) const fn new(len_max: usize) -> Self {
        Self { bytes: Vec::new(), seen: 0, depth: 0, in_string: false, escaped: false, len_max }
    }

    /// Adds what came in.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, once it is complete.
    pub(super) fn next(&mut self) -> Option<Frame> {
        if self.seen == 0 {
            let blanks = self.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.bytes.drain(..blanks);
        }
        while let Some(byte) = self.bytes.get(self.seen).copied() {
            if self.seen == self.len_max {
                return Some(Frame::TooLong);
            }
            self.seen += 1;
            if self.ends_with(byte) {
                let rest = self.bytes.split_off(self.seen);
                let frame = std::mem::replace(&mut self.bytes, rest);
                (self.seen, self.depth, self.in_string, self.escaped) = (0, 0, false, false);
                return Some(Frame::Whole(frame));
            }
        }
        None
    }

    /// What is left when nothing more comes: an unfinished request, if there is one.
    pub(super) fn rest(&mut self) -> Option<Frame> {
        let rest = std::mem::take(&mut self.bytes);
        (self.seen, self.depth) = (0, 0);
        (!rest.is_empty()).then_some(Frame::Whole(rest))
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = self.depth > 0,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            // Neither object nor array: no request, and the line is all that is known of it.
            b'\n' => return self.depth == 0,
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests in `input`, whether it comes whole or byte by byte.
    #[track_caller]
    fn check(input: &str, len_max: usize, want: &[Option<&str>]) {
        for step in [1, 3, input.len()] {
            let mut frames = Frames::new(len_max);
            let mut found = Vec::new();
            for bytes in input.as_bytes().chunks(step.max(1)) {
                frames.extend(bytes);
                while let Some(frame) = frames.next() {
                    let is_over = frame == Frame::TooLong;
                    found.push(frame);
                    if is_over {
                        break;
                    }
                }
                if found.last() == Some(&Frame::TooLong) {
                    break;
                }
            }
            let want: Vec<_> = want
                .iter()
                .map(|text| text.map_or(Frame::TooLong, |text| Frame::Whole(text.as_bytes().to_vec())))
                .collect();
            assert_eq!(found, want, "{input:?} in steps of {step}");
        }
    }

    #[test]
    fn values_end_where_their_brackets_close() {
        check("", 100, &[]);
        check(r#"{"a":1}"#, 100, &[Some(r#"{"a":1}"#)]);
        check("{}{}\n [1]\r\n", 100, &[Some("{}"), Some("{}"), Some("[1]")]);
        check(r#"{"a":"}\"]"}[{}]"#, 100, &[Some(r#"{"a":"}\"]"}"#), Some("[{}]")]);
        check(r#"{"a":"\\"}{}"#, 100, &[Some(r#"{"a":"\\"}"#), Some("{}")]);
        check("{\n}\n", 100, &[Some("{\n}")]);
        check(r#"{"a":"#, 100, &[]);
    }

    #[test]
    fn what_is_no_value_ends_with_its_line() {
        check("hello\n{}", 100, &[Some("hello\n"), Some("{}")]);
        check("\"{\n{}", 100, &[]);
        check("}{}", 100, &[Some("}"), Some("{}")]);
        let mut frames = Frames::new(100);
        frames.extend(b"  tru");
        assert_eq!((frames.next(), frames.rest(), frames.rest()), (None, Some(Frame::Whole(b"tru".to_vec())), None));
    }

    #[test]
    fn a_request_is_at_most_as_long_as_allowed() {
        check("[1,2]", 5, &[Some("[1,2]")]);
        check("[1,23]", 5, &[None]);
        check("{}[1,2,3]{}", 5, &[Some("{}"), None]);
    }
}
