//! The format of SQLite's write-ahead log (sqlite.org/walformat.html): a header, then frames. Each
//! frame has a checksum over everything before it.

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a frame before its page.
const FRAME_HEADER_BYTES: usize = 24;

const MAGIC: u32 = 0x377f_0682;

/// Checks frames in their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    page_bytes: usize,
    salt: [u8; 8],
    big_endian: bool,
    sum: Sum,
}

/// The two running sums of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum(u32, u32);

impl Chain {
    /// Begins with the header of a log; `None` if it is not one.
    pub(super) fn begin(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let magic = word(header, 0);
        let big_endian = magic & 1 == 1;
        let mut chain = Self {
            page_bytes: word(header, 8) as usize,
            salt: header[16..24].try_into().ok()?,
            big_endian,
            sum: Sum::default(),
        };
        chain.add(&header[..24]);
        let is_log = magic & !1 == MAGIC
            && chain.page_bytes.is_power_of_two()
            && (512..=65_536).contains(&chain.page_bytes);
        (is_log && chain.sum == Sum(word(header, 24), word(header, 28))).then_some(chain)
    }

    /// The number of bytes of each frame.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.page_bytes
    }

    /// The offset of a frame; the first frame is 0.
    pub(super) fn offset(&self, frame: u64) -> u64 {
        HEADER_BYTES as u64 + frame * self.frame_bytes() as u64
    }

    /// Whether this is the next whole frame of the log.
    pub(super) fn follows(&mut self, frame: &[u8]) -> bool {
        if frame.len() != self.frame_bytes() {
            return false;
        }
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER_BYTES..]);
        frame[8..16] == self.salt && self.sum == Sum(word(frame, 16), word(frame, 20))
    }

    fn add(&mut self, bytes: &[u8]) {
        let Sum(mut first, mut second) = self.sum;
        for pair in bytes.chunks_exact(8) {
            let (a, b) = match self.big_endian {
                true => (word(pair, 0), word(pair, 4)),
                false => (word(pair, 0).swap_bytes(), word(pair, 4).swap_bytes()),
            };
            first = first.wrapping_add(a).wrapping_add(second);
            second = second.wrapping_add(b).wrapping_add(first);
        }
        self.sum = Sum(first, second);
    }
}

/// A word in the byte order of the log. The caller ensures that `bytes` is long enough.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    /// A log that SQLite has written: header and frames.
    fn log(rows: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.execute_batch("CREATE TABLE a (b)").unwrap();
        for row in 0..rows {
            connection.execute("INSERT INTO a VALUES (?)", ["x".repeat(row * 100)]).unwrap();
        }
        std::fs::read(folder.path().join("a.db-wal")).unwrap()
    }

    /// The number of valid frames of a log.
    fn whole_frames(log: &[u8]) -> usize {
        let Some(header) = log.first_chunk::<HEADER_BYTES>() else { return 0 };
        let Some(mut chain) = Chain::begin(header) else { return 0 };
        let frames = log[HEADER_BYTES..].chunks_exact(chain.frame_bytes());
        frames.take_while(|frame| chain.follows(frame)).count()
    }

    #[test]
    fn every_frame_that_sqlite_writes_proves_itself() {
        let log = log(50);
        let chain = Chain::begin(log.first_chunk().unwrap()).unwrap();
        let frames = whole_frames(&log);
        assert!(frames >= 50, "{frames}");
        assert_eq!(chain.offset(frames as u64), log.len() as u64);
    }

    #[test]
    fn no_bytes_are_no_log() {
        assert_eq!(Chain::begin(&[0; HEADER_BYTES]), None);
        assert_eq!(whole_frames(b""), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_changed_byte_ends_the_log_there(at in 0..20_000_usize, by in 1..=255_u8) {
            let mut log = log(10);
            let at = at % log.len();
            log[at] = log[at].wrapping_add(by);
            let frame_bytes = FRAME_HEADER_BYTES + 4096;
            let changed = at.checked_sub(HEADER_BYTES).map(|at| at / frame_bytes);
            prop_assert_eq!(whole_frames(&log), changed.unwrap_or(0));
        }
    }
}
