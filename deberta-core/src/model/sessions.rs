//! A model on a GPU, used from any number of threads.
//!
//! A pass takes a session: a stream with memory of its own. What a pass enqueues depends on the shape of its batch alone, so
//! that a session records it the second time that a shape is seen; from then on it copies the batch to where the recording
//! reads it and replays, at the cost of one launch.

use super::Output;
use super::engine::{Computed, Engine, Parts};
use super::observe::{Observe, Watch};
use super::pooling::{Pooling, check as check_pooled};
use super::profile::Profile;
use crate::backend::{Backend, Cuda, Pass, contents, shape};
use crate::{Batch, Error};
use deberta_cuda::{CudaError, Graph, Matrix, Sequences, Shape};
use ndarray::Array2;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Recordings that a session keeps at most.
const MOST_RECORDINGS: usize = 64;

/// Bytes of results that the recordings of a session keep at most, unless one alone has more.
const MOST_BYTES: usize = 1 << 30;

/// A model and the sessions that wait for a pass.
pub(super) struct Sessions {
    parts: Parts<Cuda>,
    /// Whether a pass enqueues the same for all batches of a shape.
    recordable: bool,
    waiting: Mutex<Vec<Session>>,
    /// Read by every pass, and written by one that needs the device's memory for itself.
    memory: RwLock<()>,
}

/// A stream, and what has been recorded on it.
struct Session {
    backend: Cuda,
    /// The one that was used last is at the end.
    shapes: Vec<(Shape, Recording)>,
}

/// What is known of a shape.
enum Recording {
    /// It has been seen once: its memory.
    Seen(Sequences),
    Recorded(Box<Recorded>),
}

/// A recorded pass: where it reads, and where it leaves its results.
struct Recorded {
    sequences: Sequences,
    graph: Graph,
    computed: Computed<Cuda>,
}

impl Sessions {
    /// A model whose passes can be recorded, or not: attention with every score in memory goes by the lengths themselves.
    pub(super) fn new(parts: Parts<Cuda>, recordable: bool) -> Self {
        Self {
            parts,
            recordable,
            waiting: Mutex::default(),
            memory: RwLock::default(),
        }
    }

    /// Runs something on a session that nobody else uses. One that has failed is not used again.
    fn with_session<R>(
        &self,
        run: impl FnOnce(&mut Session) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let free = self.waiting().pop();
        let mut session = match free {
            Some(session) => session,
            None => Session {
                backend: self.parts.backend.with_own_stream()?,
                shapes: Vec::new(),
            },
        };
        let result = run(&mut session)?;
        self.waiting().push(session);
        Ok(result)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Session>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something that takes a session. Where memory does not suffice, it waits until it is alone and tries once more
    /// without what other passes have left behind.
    fn with_memory<R>(&self, run: impl Fn() -> Result<R, Error>) -> Result<R, Error> {
        let shared = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let result = run();
        drop(shared);
        match result {
            Err(error) if is_out_of_memory(&error) => {
                let alone = self.memory.write().unwrap_or_else(PoisonError::into_inner);
                self.waiting().clear();
                let result = run();
                drop(alone);
                result
            }
            result => result,
        }
    }

    /// Runs a pass, or replays it, and then something with what was computed.
    fn computed<R>(
        &self,
        batch: &Batch,
        then: impl Fn(&Cuda, &Computed<Cuda>, Pass<'_, Cuda>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.parts.check(batch)?;
        self.with_memory(|| self.computed_once(batch, &then))
    }

    fn computed_once<R>(
        &self,
        batch: &Batch,
        then: impl Fn(&Cuda, &Computed<Cuda>, Pass<'_, Cuda>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_session(|session| {
            let recorded = session.prepare(&self.parts, self.recordable, batch)?;
            match recorded {
                Prepared::Recorded(backend, recorded) => {
                    recorded.graph.launch()?;
                    let plan = &recorded.sequences;
                    then(backend, &recorded.computed, Pass { batch, plan })
                }
                Prepared::Fresh(backend, plan) => {
                    let pass = Pass { batch, plan };
                    let nothing = Observe::default();
                    let computed = self.parts.run(backend, pass, &mut Watch::new(&nothing))?;
                    then(backend, &computed, pass)
                }
            }
        })
    }
}

/// Whether the device's memory did not suffice.
fn is_out_of_memory(error: &Error) -> bool {
    let Error::Device { source } = error else {
        return false;
    };
    matches!(source.downcast_ref(), Some(CudaError::OutOfMemory { .. }))
}

/// A session with a batch in the memory of its shape.
enum Prepared<'a> {
    Recorded(&'a Cuda, &'a Recorded),
    Fresh(&'a Cuda, &'a Sequences),
}

impl Session {
    /// Copies a batch to the memory of its shape, recording the pass if the shape has been seen before.
    fn prepare(
        &mut self,
        parts: &Parts<Cuda>,
        recordable: bool,
        batch: &Batch,
    ) -> Result<Prepared<'_>, Error> {
        let shape = shape(batch).bucket();
        let Self { backend, shapes } = self;
        let (gpu, contents) = (backend.gpu(), contents(batch));
        let known = shapes.iter().position(|(known, _)| *known == shape);
        let recording = match known.map(|index| shapes.remove(index).1) {
            None => {
                let mut sequences = backend.sequences(shape)?;
                sequences.write(gpu, contents)?;
                Recording::Seen(sequences)
            }
            // The memory of a shape is as good as new: other recordings of the session may have used it.
            Some(Recording::Seen(mut sequences)) => {
                sequences.write(gpu, contents)?;
                match recordable {
                    true => Recording::try_new(parts, backend, sequences, batch)?,
                    false => Recording::Seen(sequences),
                }
            }
            Some(Recording::Recorded(mut recorded)) => {
                recorded.sequences.write(gpu, contents)?;
                Recording::Recorded(recorded)
            }
        };
        forget_oldest(shapes, recording.bytes());
        shapes.push((shape, recording));
        Ok(match shapes.last().map(|(_, recording)| recording) {
            Some(Recording::Recorded(recorded)) => Prepared::Recorded(backend, recorded),
            Some(Recording::Seen(sequences)) => Prepared::Fresh(backend, sequences),
            None => unreachable!("one was pushed"),
        })
    }
}

/// Makes room for one more recording, of so many bytes.
fn forget_oldest(shapes: &mut Vec<(Shape, Recording)>, more: usize) {
    let mut bytes = more + shapes.iter().map(|(_, kept)| kept.bytes()).sum::<usize>();
    let count = shapes.len();
    let mut left = count;
    shapes.retain(|(_, kept)| {
        let keep = left < MOST_RECORDINGS && bytes <= MOST_BYTES;
        if !keep {
            left -= 1;
            bytes -= kept.bytes();
        }
        keep
    });
}

impl Recording {
    /// Records the pass of a batch that is in its memory, unless that takes memory which is not there yet.
    fn try_new(
        parts: &Parts<Cuda>,
        backend: &Cuda,
        sequences: Sequences,
        batch: &Batch,
    ) -> Result<Self, Error> {
        let plan = &sequences;
        let recorded = backend.gpu().record(|| {
            let nothing = Observe::default();
            parts.run(backend, Pass { batch, plan }, &mut Watch::new(&nothing))
        });
        match recorded {
            Ok((graph, computed)) => Ok(Self::Recorded(Box::new(Recorded {
                sequences,
                graph,
                computed,
            }))),
            Err(Error::Device { source })
                if matches!(source.downcast_ref(), Some(CudaError::Recording { .. })) =>
            {
                Ok(Self::Seen(sequences))
            }
            Err(error) => Err(error),
        }
    }

    /// What its results take.
    fn bytes(&self) -> usize {
        match self {
            Self::Seen(_) => 0,
            Self::Recorded(recorded) => {
                let Computed { hidden, logits } = &recorded.computed;
                hidden.bytes() + logits.as_ref().map_or(0, Matrix::bytes)
            }
        }
    }
}

impl Sessions {
    /// Hidden states and logits, copied to the processor.
    fn output(
        &self,
        backend: &Cuda,
        computed: &Computed<Cuda>,
        batch: &Batch,
    ) -> Result<Output, Error> {
        Ok(Output {
            last_hidden_state: backend.read(&computed.hidden, batch.tokens())?,
            logits: self.logits_of(backend, computed, batch)?,
        })
    }

    fn logits_of(
        &self,
        backend: &Cuda,
        computed: &Computed<Cuda>,
        batch: &Batch,
    ) -> Result<Option<Array2<f32>>, Error> {
        let rows = self.parts.logit_rows(batch);
        let logits = computed.logits.as_ref();
        logits.map(|logits| backend.read(logits, rows)).transpose()
    }

    /// A pass that is not replayed, under observation.
    fn watched<'a>(
        &self,
        batch: &Batch,
        watch: impl Fn(&Cuda) -> Watch<'a>,
    ) -> Result<(Output, Watch<'a>), Error> {
        self.parts.check(batch)?;
        let run = |session: &mut Session| {
            let backend = &session.backend;
            let mut watch = watch(backend);
            let plan = &backend.plan(batch)?;
            let pass = Pass { batch, plan };
            let computed = self.parts.run(backend, pass, &mut watch)?;
            Ok((self.output(backend, &computed, batch)?, watch))
        };
        self.with_memory(|| self.with_session(run))
    }
}

impl Engine for Sessions {
    fn vocabulary(&self) -> usize {
        self.parts.vocabulary()
    }

    fn has_mask_decoder(&self) -> bool {
        self.parts.has_mask_decoder()
    }

    fn forward<'a>(
        &self,
        batch: &Batch,
        wanted: &'a Observe,
    ) -> Result<(Output, Watch<'a>), Error> {
        if *wanted != Observe::default() {
            return self.watched(batch, |_| Watch::new(wanted));
        }
        let output = self.computed(batch, |backend, computed, _| {
            self.output(backend, computed, batch)
        })?;
        Ok((output, Watch::new(wanted)))
    }

    fn profile(&self, batch: &Batch) -> Result<(Output, Profile), Error> {
        let nothing = Observe::default();
        let (output, watch) = self.watched(batch, |backend| {
            let gpu = backend.gpu().clone();
            // What fails here fails again when results are read.
            Watch::new(&nothing).waiting(move || drop(gpu.synchronize()))
        })?;
        Ok((output, watch.profile))
    }

    fn logits(&self, batch: &Batch) -> Result<Option<Array2<f32>>, Error> {
        self.computed(batch, |backend, computed, _| {
            self.logits_of(backend, computed, batch)
        })
    }

    fn logits_at(&self, batch: &Batch, tokens: &[u32]) -> Result<Option<Array2<f32>>, Error> {
        self.parts.check(batch)?;
        let run = |session: &mut Session| {
            let backend = &session.backend;
            let plan = &backend.plan(batch)?;
            let pass = Pass { batch, plan };
            let nothing = Observe::default();
            let mut watch = Watch::new(&nothing);
            let computed = self.parts.run_at(backend, pass, &mut watch, Some(tokens))?;
            let logits = computed.logits.as_ref();
            logits
                .map(|logits| backend.read(logits, tokens.len()))
                .transpose()
        };
        self.with_memory(|| self.with_session(run))
    }

    fn embeddings(
        &self,
        batch: &Batch,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Array2<f32>, Error> {
        // Before a session is taken: one in which something has failed is not used again.
        check_pooled(batch, pooling)?;
        self.computed(batch, |backend, computed, pass| {
            backend.pool(&computed.hidden, pooling, normalize, pass)
        })
    }
}
