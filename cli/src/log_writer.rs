//! The log of a node on its way to stderr, over a thread of its own.
//!
//! Place in the flow: `log` writes into it what the node says while it runs.
//! Invariant: nobody waits for whoever reads stderr. If the reader is slow, stopped or gone, lines are lost after [`LINES_MAX`],
//! and their number is said where they are missing; the node goes on.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Lines that wait to be written.
const LINES_MAX: usize = 4096;

/// How long the end of the process waits for the last lines.
const FLUSH_WAIT_MAX: Duration = Duration::from_millis(500);

enum Message {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// The writing end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogWriter {
    messages: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, waiting) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self { messages, lost: Arc::clone(&lost) };
        thread::Builder::new().name("laminar-log".to_owned()).spawn(move || write_all(out, &waiting, &lost))?;
        Ok(writer)
    }

    /// Waits until all that was said is written, but not for ever.
    pub(crate) fn flush_all(&self) {
        let (done, wait) = sync_channel(1);
        let end = Instant::now() + FLUSH_WAIT_MAX;
        while let Err(TrySendError::Full(_)) = self.messages.try_send(Message::Flush(done.clone())) {
            if Instant::now() >= end {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // What is not written by then is lost.
        let _ = wait.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

impl Write for LogWriter {
    /// Takes a whole line. Never fails and never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.messages.try_send(Message::Line(line.to_vec())).is_err() {
            // ORDER: Relaxed. A counter.
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(mut out: impl Write, messages: &Receiver<Message>, lost: &AtomicU64) {
    for message in messages {
        match message {
            Message::Line(line) => {
                // ORDER: Relaxed. A counter.
                let missing = lost.swap(0, Relaxed);
                if missing > 0 {
                    let _ = writeln!(out, "{missing} lines are missing here: nobody read them in time");
                }
                // Nobody may be left to read; there is nowhere to say it.
                let _ = out.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Writes once it is told to; what was written.
    struct Gate(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error when the test has opened the gate for good.
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_stuck_reader_and_what_is_lost_is_counted() {
        let (open, gate) = sync_channel(1);
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut writer = LogWriter::start(Gate(gate, Arc::clone(&written))).unwrap();
        let more = 100;
        // One may be on its way beside those that wait.
        for line in 0..LINES_MAX + more {
            writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        drop(open);
        writer.flush_all();
        writer.write_all(b"after\n").unwrap();
        writer.flush_all();
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        let missing: Vec<usize> = lines
            .iter()
            .filter_map(|line| line.strip_suffix(" lines are missing here: nobody read them in time")?.parse().ok())
            .collect();
        let kept = lines.len() - missing.len() - 1;
        assert_eq!(lines.last(), Some(&"after"));
        assert!((more - 1..=more).contains(&missing.iter().sum()), "{missing:?}");
        assert_eq!(kept + missing.iter().sum::<usize>(), LINES_MAX + more);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut writer = LogWriter::start(Gone).unwrap();
        for _ in 0..3 {
            writer.write_all(b"line\n").unwrap();
            writer.flush_all();
        }
    }
}
