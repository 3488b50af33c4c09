//! How a model is got, and how far that is.

use std::fmt;

#[cfg(feature = "hub")]
use super::HubOptions;

/// How [`Source::resolve`](super::Source::resolve) gets a model.
#[derive(Default)]
#[non_exhaustive]
pub struct ResolveOptions<'a> {
    /// Where the hub and its cache are; `None`: what the environment says ([`HubOptions::from_env`]).
    #[cfg(feature = "hub")]
    pub hub: Option<HubOptions>,
    /// Whether to get the configuration and the tokenizer alone, of a model whose weights are in another one's file.
    pub without_weights: bool,
    /// Whether to ask where a branch is now, instead of staying where it was when the model was first got.
    pub refresh: bool,
    /// Told how far it is, and ends it by returning false.
    #[cfg_attr(
        not(feature = "hub"),
        expect(dead_code, reason = "directories are there")
    )]
    pub(super) progress: Option<Box<Callback<'a>>>,
}

/// Hears how far it is, and says whether to go on.
type Callback<'a> = dyn Fn(Progress<'_>) -> bool + 'a;

impl<'a> ResolveOptions<'a> {
    /// Where the hub and its cache are.
    #[cfg(feature = "hub")]
    pub fn hub(self, hub: HubOptions) -> Self {
        Self {
            hub: Some(hub),
            ..self
        }
    }

    /// Gets the configuration and the tokenizer alone.
    pub fn without_weights(self) -> Self {
        Self {
            without_weights: true,
            ..self
        }
    }

    /// Asks where a branch is now.
    pub fn refresh(self) -> Self {
        Self {
            refresh: true,
            ..self
        }
    }

    /// Called before every request, with every piece that arrives, and a few times a second while this waits for
    /// another process or before a further try. Returning false ends the operation with
    /// [`Error::Cancelled`](crate::Error::Cancelled); what has arrived is kept for the next time.
    pub fn progress(self, progress: impl Fn(Progress<'_>) -> bool + 'a) -> Self {
        Self {
            progress: Some(Box::new(progress)),
            ..self
        }
    }
}

impl fmt::Debug for ResolveOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ResolveOptions");
        #[cfg(feature = "hub")]
        debug.field("hub", &self.hub);
        debug.finish_non_exhaustive()
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The file that is being got; empty while the hub is asked what there is.
    pub file: &'a str,
    /// Bytes of this file that are here.
    pub file_received: u64,
    /// Its size.
    pub file_size: u64,
    /// Bytes that are here of all files that had to be got.
    pub received: u64,
    /// Bytes of them all. 0 until it is known.
    pub total: u64,
}

#[cfg(feature = "hub")]
pub(super) use reporter::Reporter;

#[cfg(feature = "hub")]
mod reporter {
    use std::cell::{Cell, RefCell};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::{Progress, ResolveOptions};
    use crate::Error;

    /// Tells the caller, and hears whether to go on.
    pub(in crate::source) struct Reporter<'a> {
        options: &'a ResolveOptions<'a>,
        file: RefCell<String>,
        received: Cell<u64>,
        size: Cell<u64>,
        /// Of the files before this one.
        before: Cell<u64>,
        total: Cell<u64>,
    }

    impl<'a> Reporter<'a> {
        pub(in crate::source) fn new(options: &'a ResolveOptions<'a>) -> Self {
            Self {
                options,
                file: RefCell::default(),
                received: Cell::default(),
                size: Cell::default(),
                before: Cell::default(),
                total: Cell::default(),
            }
        }

        /// There are so many more bytes to get.
        pub(in crate::source) fn expect(&self, bytes: u64) {
            self.total.set(self.total.get().saturating_add(bytes));
        }

        /// The next file begins; the one before is done.
        pub(in crate::source) fn begin(&self, file: &str, size: u64) {
            self.before.set(self.before.get() + self.size.get());
            file.clone_into(&mut self.file.borrow_mut());
            self.size.set(size);
            self.received.set(0);
        }

        /// So many bytes of the file are here.
        pub(in crate::source) fn at(&self, received: u64) -> Result<(), Error> {
            self.received.set(received);
            self.tick()
        }

        /// Nothing has changed.
        pub(in crate::source) fn tick(&self) -> Result<(), Error> {
            let Some(progress) = &self.options.progress else {
                return Ok(());
            };
            let file = self.file.borrow().clone();
            let goes_on = progress(Progress {
                file: &file,
                file_received: self.received.get(),
                file_size: self.size.get(),
                received: self.before.get() + self.received.get(),
                total: self.total.get(),
            });
            match goes_on {
                true => Ok(()),
                false => Err(Error::Cancelled),
            }
        }

        /// Waits, telling so.
        pub(in crate::source) fn wait(&self, time: Duration) -> Result<(), Error> {
            const STEP: Duration = Duration::from_millis(100);
            let start = Instant::now();
            loop {
                self.tick()?;
                match time.checked_sub(start.elapsed()) {
                    None | Some(Duration::ZERO) => return Ok(()),
                    Some(left) => sleep(left.min(STEP)),
                }
            }
        }
    }
}
