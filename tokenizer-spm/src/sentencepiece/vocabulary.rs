//! The pieces of a model: texts, types, scores, and the checks that make a vocabulary usable.

use crate::TokenizerError;
use crate::proto::PieceProto;

/// What role a piece plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PieceType {
    /// An ordinary piece of text.
    Normal,
    /// Stands for whatever no other piece covers; every model has exactly one.
    Unknown,
    /// Invisible in text, such as `<s>`: never found by encoding, and decoded to nothing.
    Control,
    /// Always kept whole, before normalisation and before everything else.
    UserDefined,
    /// Once a piece, no longer used: never the result of encoding.
    Unused,
    /// One byte, such as `<0x0A>`: unknown characters are spelled with these.
    Byte,
}

impl PieceType {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => PieceType::Normal,
            2 => PieceType::Unknown,
            3 => PieceType::Control,
            4 => PieceType::UserDefined,
            5 => PieceType::Unused,
            6 => PieceType::Byte,
            _ => return None,
        })
    }

    /// Whether encoding may find this piece in text (or, unused, take it apart again).
    pub(crate) fn is_textual(self) -> bool {
        matches!(
            self,
            PieceType::Normal | PieceType::UserDefined | PieceType::Unused
        )
    }
}

/// The longest piece that SentencePiece accepts, in bytes.
const MAX_PIECE_LENGTH: usize = 7999;

/// All pieces of a model by id.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    /// All pieces end to end.
    text: String,
    /// Where each piece ends in `text`.
    ends: Vec<usize>,
    types: Vec<PieceType>,
    scores: Vec<f32>,
    /// The ids in the order of their pieces.
    sorted: Vec<u32>,
    unknown: u32,
    /// The ids of the 256 byte pieces, if the model has byte fallback.
    bytes: Option<Box<[u32; 256]>>,
}

fn invalid(
    what: impl Into<String>,
    expected: &'static str,
    found: impl Into<String>,
) -> TokenizerError {
    TokenizerError::InvalidModel {
        what: what.into(),
        expected,
        found: found.into(),
    }
}

impl Vocabulary {
    pub(crate) fn new(pieces: &[PieceProto], byte_fallback: bool) -> Result<Self, TokenizerError> {
        let mut vocabulary = Self {
            text: String::with_capacity(pieces.iter().map(|piece| piece.piece().len()).sum()),
            ends: Vec::with_capacity(pieces.len()),
            types: Vec::with_capacity(pieces.len()),
            scores: Vec::with_capacity(pieces.len()),
            sorted: Vec::new(),
            unknown: 0,
            bytes: None,
        };
        let mut unknown = None;
        let mut bytes = [None; 256];
        for (id, proto) in (0..).zip(pieces) {
            let piece = proto.piece();
            let named = |what: &str| format!("{what} of piece {id} {:?}", shortened(piece));
            let number = proto.kind();
            let mut kind = PieceType::from_number(number)
                .ok_or_else(|| invalid(named("type"), "1 to 6", number.to_string()))?;
            if piece.is_empty() {
                return Err(invalid(
                    format!("text of piece {id}"),
                    "at least one byte",
                    "none",
                ));
            }
            if piece.len() > MAX_PIECE_LENGTH {
                return Err(invalid(
                    named("length"),
                    "fewer than 8000 bytes",
                    piece.len().to_string(),
                ));
            }
            if piece.contains('\0') {
                // A vocabulary with bytes needs no NUL piece, yet some carry one.
                if piece != "\0" || !(byte_fallback || kind == PieceType::Unused) {
                    return Err(invalid(named("text"), "no NUL character", "one"));
                }
                kind = PieceType::Unused;
            }
            if !proto.score().is_finite() {
                return Err(invalid(
                    named("score"),
                    "a finite number",
                    proto.score().to_string(),
                ));
            }
            if kind == PieceType::Unknown
                && let Some(first) = unknown.replace(id)
            {
                return Err(invalid(
                    "unknown piece",
                    "exactly one piece of type UNKNOWN",
                    format!("pieces {first} and {id}"),
                ));
            }
            if kind == PieceType::Byte {
                if !byte_fallback {
                    return Err(invalid(
                        named("type"),
                        "byte pieces only in a model with byte_fallback",
                        "BYTE",
                    ));
                }
                let byte = parse_byte(piece)
                    .ok_or_else(|| invalid(named("text"), "<0x00> to <0xFF>", piece))?;
                bytes[usize::from(byte)] = Some(id);
            }
            vocabulary.text.push_str(piece);
            vocabulary.ends.push(vocabulary.text.len());
            vocabulary.types.push(kind);
            vocabulary.scores.push(proto.score());
        }
        vocabulary.unknown = unknown.ok_or_else(|| {
            invalid(
                "unknown piece",
                "exactly one piece of type UNKNOWN",
                "no such piece",
            )
        })?;
        if byte_fallback {
            let mut ids = Box::new([0; 256]);
            for (byte, (id, found)) in ids.iter_mut().zip(bytes).enumerate() {
                *id = found.ok_or_else(|| {
                    invalid(
                        "byte_fallback",
                        "all 256 byte pieces",
                        format!("no piece <0x{byte:02X}>"),
                    )
                })?;
            }
            vocabulary.bytes = Some(ids);
        }
        vocabulary.sort()?;
        Ok(vocabulary)
    }

    fn sort(&mut self) -> Result<(), TokenizerError> {
        // Most comparisons are decided by the first eight bytes, without a look at the text.
        let mut keyed: Vec<(u64, u32)> = (0..self.len() as u32)
            .map(|id| (first_bytes(self.text_of(id)), id))
            .collect();
        keyed.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| self.text_of(a.1).cmp(self.text_of(b.1)))
        });
        let sorted: Vec<u32> = keyed.into_iter().map(|(_, id)| id).collect();
        if let Some(pair) = sorted
            .windows(2)
            .find(|pair| self.piece(pair[0]) == self.piece(pair[1]))
        {
            return Err(invalid(
                "vocabulary",
                "distinct pieces",
                format!(
                    "{:?} twice, with ids {} and {}",
                    self.text_of(pair[0]),
                    pair[0],
                    pair[1]
                ),
            ));
        }
        self.sorted = sorted;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The piece with this id.
    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let end = *self.ends.get(id)?;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        Some(&self.text[start..end])
    }

    fn text_of(&self, id: u32) -> &str {
        self.piece(id).unwrap_or_default()
    }

    /// The id of this piece.
    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        let index = self
            .sorted
            .binary_search_by(|&id| self.text_of(id).cmp(piece))
            .ok()?;
        Some(self.sorted[index])
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceType> {
        self.types.get(id as usize).copied()
    }

    pub(crate) fn score(&self, id: u32) -> Option<f32> {
        self.scores.get(id as usize).copied()
    }

    /// The id of the unknown piece.
    pub(crate) fn unknown(&self) -> u32 {
        self.unknown
    }

    /// The id of each byte's piece, if the model has byte fallback.
    pub(crate) fn bytes(&self) -> Option<&[u32; 256]> {
        self.bytes.as_deref()
    }

    /// Id, text, type and score of every piece, in the order of the texts.
    pub(crate) fn iter_sorted(&self) -> impl Iterator<Item = (u32, &str, PieceType, f32)> {
        self.sorted.iter().map(|&id| {
            (
                id,
                self.text_of(id),
                self.types[id as usize],
                self.scores[id as usize],
            )
        })
    }
}

/// The byte that a piece such as `<0x0A>` stands for.
pub(crate) fn parse_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let canonical = digits.len() == 2
        && digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    canonical.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The first eight bytes as a number that is ordered as they are; zeros stand in for missing ones.
fn first_bytes(piece: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(piece.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(bytes)
}

/// Enough of a piece to recognise it by in a message.
fn shortened(piece: &str) -> String {
    piece.chars().take(40).collect()
}
