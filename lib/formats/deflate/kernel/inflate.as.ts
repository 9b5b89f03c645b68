// AssemblyScript. The inflate kernel: raw deflate (RFC 1951), resumable, stopping at every block.
//
// Bit buffer. `bits` holds the next input bits, least significant first; `count` of them are
// accounted for. In the fast loop bits above `count` may be set, but only to what the following
// input bytes say, so OR-ing those bytes in again changes nothing. `count` is then 56 … 63 after a
// refill. Between two calls `count` is below 8: whole unread bytes are given back to the input.
//
// Slack. The fast loop runs only while IN_SLACK bytes of input and OUT_SLACK bytes of room are left.
// One turn refills twice (8 bytes loaded, at most 7 passed over) and writes at most 3 literal pairs
// and one match of 258 bytes, up to 32 bytes too many. So no load reads what is not input, and no
// store leaves its region.
//
// History. Output is written behind 32 KiB of history in one region; a distance may not reach below
// `floor`, the first byte of this gzip member (or of the given window). So hostile distances stay
// inside the region.
//
// Tables. Entry, u32:
//   bit 31     literal: bits 8-15 the byte, bits 16-23 a second byte if bit 30 is set,
//              bits 0-4 code bits to drop
//   bit 15 = 0 length or distance: bits 16-30 base, bits 8-12 code bits, bits 0-5 code + extra bits
//   bit 15 = 1 and bit 14: end of block (bits 0-4 code bits); and bit 13: no such code;
//              neither: bits 16-29 start of a subtable, bits 8-11 its index bits
// Root tables have 11 (literal/length) and 9 (distance) index bits.

// Status codes of run().
const NEED_INPUT: i32 = 0;
const OUT_FULL: i32 = 1;
const BLOCK_END: i32 = 2;
const STREAM_END: i32 = 3;
const BAD_BLOCK_TYPE: i32 = -1;
const BAD_STORED_LENGTH: i32 = -2;
const BAD_CODE_COUNTS: i32 = -3;
const BAD_CODE_LENGTHS: i32 = -4;
const BAD_CODE: i32 = -5;
const BAD_DISTANCE: i32 = -6;

const HEADER: i32 = 0;
const CODES: i32 = 1;
const STORED: i32 = 2;
const DONE: i32 = 3;

const ROOT_BITS: i32 = 11;
const ROOT_MASK: usize = (1 << ROOT_BITS) - 1;
const DIST_BITS: i32 = 9;

// Memory map, bytes. Page 0 is left unused so that no valid address is 0.
const LITLEN: usize = 0x10000; // u32[2048 + subtables]
const LITLEN_ENTRIES: i32 = 4096;
const DIST: usize = 0x14000; // u32[512 + subtables]
const DIST_ENTRIES: i32 = 2048;
const PRE: usize = 0x16000; // u32[128]
const LENGTHS: usize = 0x16800; // u8[320 + 16]
const SORTED: usize = 0x16a00; // u16[320]
const COUNTS: usize = 0x16d00; // u32[16]
const OFFSETS: usize = 0x16d80; // u32[17]
const IN_BASE: usize = 0x20000;
const IN_CAPACITY: usize = 0x80000; // 512 KiB, then slack
const OUT_BASE: usize = 0xb0000; // 32 KiB of history first
const HISTORY: usize = 32768;
const OUT_CAPACITY: usize = 0x500000; // 5 MiB after the history
const OUT_SLACK: usize = 512;
const IN_SLACK: usize = 32;
const OUT_LIMIT: usize = OUT_BASE + HISTORY + OUT_CAPACITY;

const LITERAL: u32 = 0x80000000;
const PAIR: u32 = 0x40000000;
const SPECIAL: u32 = 0x8000;
const END: u32 = 0x4000;
const INVALID: u32 = 0x2000;

let state: i32 = HEADER;
let lastBlock: bool = false;
let bits: u64 = 0;
let count: i32 = 0;
let inAt: usize = IN_BASE;
let inEnd: usize = IN_BASE;
let outAt: usize = OUT_BASE + HISTORY;
let floor: usize = OUT_BASE + HISTORY;
let stored: i32 = 0;
let fixedReady: bool = false; // the tables hold the fixed codes

// @ts-ignore: decorator
@inline
function lengthBase(symbol: i32): u32 {
  // RFC 1951, 3.2.5
  if (symbol < 265) return symbol - 254;
  if (symbol == 285) return 258;
  const extra = (symbol - 261) >> 2;
  return ((4 + ((symbol - 261) & 3)) << extra) + 3;
}

// @ts-ignore: decorator
@inline
function lengthExtra(symbol: i32): i32 {
  return symbol < 265 || symbol == 285 ? 0 : (symbol - 261) >> 2;
}

// @ts-ignore: decorator
@inline
function distanceBase(symbol: i32): u32 {
  if (symbol < 4) return symbol + 1;
  const extra = (symbol >> 1) - 1;
  return ((2 + (symbol & 1)) << extra) + 1;
}

// @ts-ignore: decorator
@inline
function distanceExtra(symbol: i32): i32 {
  return symbol < 4 ? 0 : (symbol >> 1) - 1;
}

const KIND_LITLEN: i32 = 0;
const KIND_DIST: i32 = 1;
const KIND_PRE: i32 = 2;

function entryOf(kind: i32, symbol: i32, length: i32): u32 {
  if (kind == KIND_PRE) return ((symbol as u32) << 16) | (length as u32);
  if (kind == KIND_LITLEN) {
    if (symbol < 256) return LITERAL | ((symbol as u32) << 8) | (length as u32);
    if (symbol == 256) return SPECIAL | END | (length as u32);
    if (symbol > 285) return SPECIAL | INVALID;
    return (lengthBase(symbol) << 16) | ((length as u32) << 8) |
      ((length + lengthExtra(symbol)) as u32);
  }
  if (symbol > 29) return SPECIAL | INVALID;
  return (distanceBase(symbol) << 16) | ((length as u32) << 8) |
    ((length + distanceExtra(symbol)) as u32);
}

// @ts-ignore: decorator
@inline
function reverse(code: u32, length: i32): u32 {
  let r = ((code & 0x5555) << 1) | ((code >> 1) & 0x5555);
  r = ((r & 0x3333) << 2) | ((r >> 2) & 0x3333);
  r = ((r & 0x0f0f) << 4) | ((r >> 4) & 0x0f0f);
  r = ((r & 0x00ff) << 8) | (r >> 8);
  return r >> (16 - length);
}

/** Repeats the first `size` entries of a table until there are `wanted`; both are powers of two. */
function growTable(table: usize, size: i32, wanted: i32): void {
  for (; size < wanted; size <<= 1) {
    const bytes = (size as usize) << 2;
    if (size < 4) {
      for (let at: usize = 0; at < bytes; at += 4) {
        store<u32>(table + bytes + at, load<u32>(table + at));
      }
    } else {
      for (let at: usize = 0; at < bytes; at += 16) {
        v128.store(table + bytes + at, v128.load(table + at));
      }
    }
  }
}

/** Builds a decode table from code lengths at `lengths`. False when they are no complete code. */
function buildTable(
  table: usize,
  capacity: i32,
  kind: i32,
  lengths: usize,
  symbols: i32,
  rootBits: i32,
): bool {
  memory.fill(COUNTS, 0, 64);
  for (let i = 0; i < symbols; i++) {
    const at = COUNTS + ((load<u8>(lengths + i) as usize) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  const used = symbols - (load<u32>(COUNTS) as i32);
  let maxLength = 15;
  while (maxLength > 0 && load<u32>(COUNTS + (maxLength << 2)) == 0) maxLength--;
  let left: i32 = 1;
  for (let length = 1; length <= 15; length++) {
    left = (left << 1) - (load<u32>(COUNTS + (length << 2)) as i32);
    if (left < 0) return false; // over-subscribed
  }
  // As zlib: incomplete only where there is no code at all, or a single one-bit code.
  if (left > 0 && used > 0 && (kind == KIND_PRE || maxLength != 1)) return false;

  // The root table grows by doubling: with codes of up to n bits it has 2^n entries, and those that no
  // code has taken yet stay "no such code" in both copies.
  const rootSize = 1 << rootBits;
  let size: i32 = 1;
  store<u32>(table, SPECIAL | INVALID);
  if (used == 0) {
    growTable(table, size, rootSize);
    return kind != KIND_PRE;
  }

  // Symbols sorted by length, then value: the canonical order of codes.
  store<u32>(OFFSETS + 4, 0);
  for (let length = 1; length < 15; length++) {
    store<u32>(
      OFFSETS + ((length + 1) << 2),
      load<u32>(OFFSETS + (length << 2)) + load<u32>(COUNTS + (length << 2)),
    );
  }
  for (let i = 0; i < symbols; i++) {
    const length = load<u8>(lengths + i) as usize;
    if (length == 0) continue;
    const at = OFFSETS + (length << 2);
    const place = load<u32>(at);
    store<u32>(at, place + 1);
    store<u16>(SORTED + ((place as usize) << 1), i as u16);
  }

  let code: u32 = 0;
  let place: i32 = 0;
  let subStart: i32 = rootSize;
  let subBits: i32 = 0;
  let subPrefix: u32 = 0xffffffff;
  /** Bits of the shortest code of a literal. */
  let shortest: i32 = 15;
  for (let length = 1; length <= maxLength; length++) {
    const ofLength = load<u32>(COUNTS + (length << 2)) as i32;
    if (length <= rootBits) {
      growTable(table, size, size << 1);
      size <<= 1;
    }
    for (let i = 0; i < ofLength; i++) {
      const symbol = load<u16>(SORTED + ((place as usize) << 1)) as i32;
      place++;
      if (symbol < 256 && length < shortest) shortest = length;
      const reversed = reverse(code, length);
      if (length <= rootBits) {
        store<u32>(table + ((reversed as usize) << 2), entryOf(kind, symbol, length));
      } else {
        const prefix = reversed & ((1 << rootBits) - 1);
        if (prefix != subPrefix) {
          // A new subtable: as many bits as the codes with this prefix need.
          subStart = subStart + (subPrefix == 0xffffffff ? 0 : 1 << subBits);
          subPrefix = prefix;
          subBits = length - rootBits;
          let room: i32 = 1 << subBits;
          let taken: i32 = ofLength - i;
          let longer = length;
          while (taken < room && longer < maxLength) {
            room = (room - taken) << 1;
            longer++;
            subBits++;
            taken = load<u32>(COUNTS + (longer << 2)) as i32;
          }
          if (subStart + (1 << subBits) > capacity) return false;
          for (let j = 0; j < 1 << subBits; j++) {
            store<u32>(table + ((subStart + j) << 2), SPECIAL | INVALID);
          }
          store<u32>(
            table + ((prefix as usize) << 2),
            SPECIAL | ((subStart as u32) << 16) | ((subBits as u32) << 8),
          );
        }
        const entry = entryOf(kind, symbol, length);
        const step = 1 << (length - rootBits);
        for (
          let at = (reversed >> rootBits) as i32;
          at < 1 << subBits;
          at += step
        ) {
          store<u32>(table + ((subStart + at) << 2), entry);
        }
      }
      code++;
    }
    code <<= 1;
  }
  growTable(table, size, rootSize);
  if (kind == KIND_LITLEN) pairLiterals(table, shortest);
  return true;
}

/**
 * Where the bits behind a literal's code already tell the next literal, one entry gives both.
 * Downwards, because the entry looked at lies lower and must still be a single one.
 */
function pairLiterals(table: usize, shortest: i32): void {
  if (shortest * 2 > ROOT_BITS) return;
  const most = (ROOT_BITS - shortest) as u32;
  for (let i = (1 << ROOT_BITS) - 1; i >= 0; i--) {
    const first = load<u32>(table + (i << 2));
    if ((first & LITERAL) == 0) continue;
    const used = first & 31;
    if (used > most) continue;
    const second = load<u32>(table + ((i >> used) << 2));
    if ((second & (LITERAL | PAIR)) != LITERAL) continue;
    const total = used + (second & 31);
    if (total > (ROOT_BITS as u32)) continue;
    store<u32>(
      table + (i << 2),
      LITERAL | PAIR | ((second & 0xff00) << 8) | (first & 0xff00) | total,
    );
  }
}

function buildFixed(): void {
  if (fixedReady) return;
  memory.fill(LENGTHS, 8, 144);
  memory.fill(LENGTHS + 144, 9, 112);
  memory.fill(LENGTHS + 256, 7, 24);
  memory.fill(LENGTHS + 280, 8, 8);
  buildTable(LITLEN, LITLEN_ENTRIES, KIND_LITLEN, LENGTHS, 288, ROOT_BITS);
  memory.fill(LENGTHS, 5, 32);
  buildTable(DIST, DIST_ENTRIES, KIND_DIST, LENGTHS, 32, DIST_BITS);
  fixedReady = true;
}

// Slow-path bit reader: fills byte by byte, never beyond inEnd.
// @ts-ignore: decorator
@inline
function fill(): void {
  while (count <= 56 && inAt < inEnd) {
    bits |= (load<u8>(inAt) as u64) << count;
    inAt++;
    count += 8;
  }
}

/** Position of the 19 precode lengths in the stream (RFC 1951, 3.2.7). */
const PRE_ORDER = memory.data<u8>([
  16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
]);

/** Reads a block's header. NEED_INPUT with nothing consumed when it is not all here; 4 when read. */
function readHeader(): i32 {
  const savedBits = bits;
  const savedCount = count;
  const savedAt = inAt;
  const status = parseHeader();
  if (status == NEED_INPUT) {
    bits = savedBits;
    count = savedCount;
    inAt = savedAt;
  }
  return status;
}

function parseHeader(): i32 {
  fill();
  if (count < 3) return NEED_INPUT;
  const isLast = (bits & 1) != 0;
  const type = ((bits >> 1) & 3) as i32;
  bits >>= 3;
  count -= 3;
  if (type == 0) {
    const drop = count & 7;
    bits >>= drop;
    count -= drop;
    fill();
    if (count < 32) return NEED_INPUT;
    const length = (bits & 0xffff) as u32;
    const check = ((bits >> 16) & 0xffff) as u32;
    if ((length ^ check) != 0xffff) return BAD_STORED_LENGTH;
    bits >>= 32;
    count -= 32;
    giveBack();
    stored = length;
    lastBlock = isLast;
    state = STORED;
    return 4;
  }
  if (type == 1) {
    buildFixed();
    lastBlock = isLast;
    state = CODES;
    return 4;
  }
  if (type == 3) return BAD_BLOCK_TYPE;
  fill();
  if (count < 14) return NEED_INPUT;
  const literals = ((bits & 31) as i32) + 257;
  const distances = (((bits >> 5) & 31) as i32) + 1;
  const preCodes = (((bits >> 10) & 15) as i32) + 4;
  bits >>= 14;
  count -= 14;
  if (literals > 286 || distances > 30) return BAD_CODE_COUNTS;
  memory.fill(LENGTHS, 0, 19);
  for (let i = 0; i < preCodes; i++) {
    fill();
    if (count < 3) return NEED_INPUT;
    store<u8>(
      LENGTHS + (load<u8>(PRE_ORDER + i) as usize),
      (bits & 7) as u8,
    );
    bits >>= 3;
    count -= 3;
  }
  fixedReady = false;
  if (!buildTable(PRE, 128, KIND_PRE, LENGTHS, 19, 7)) return BAD_CODE_LENGTHS;
  const total = literals + distances;
  let at = 0;
  while (at < total) {
    fill();
    const entry = load<u32>(PRE + (((bits & 127) as usize) << 2));
    if (entry & SPECIAL) return count < 7 && inAt == inEnd ? NEED_INPUT : BAD_CODE_LENGTHS;
    const used = (entry & 31) as i32;
    const symbol = (entry >> 16) as i32;
    let repeat = 1;
    let value: u8 = symbol as u8;
    let extra = 0;
    let base = 0;
    if (symbol == 16) {
      extra = 2;
      base = 3;
    } else if (symbol == 17) {
      extra = 3;
      base = 3;
    } else if (symbol == 18) {
      extra = 7;
      base = 11;
    }
    if (count < used + extra) return NEED_INPUT;
    bits >>= used;
    count -= used;
    if (symbol > 15) {
      repeat = base + ((bits & ((1 << extra) - 1)) as i32);
      bits >>= extra;
      count -= extra;
      value = 0;
      if (symbol == 16) {
        if (at == 0) return BAD_CODE_LENGTHS;
        value = load<u8>(LENGTHS + at - 1);
      }
      if (at + repeat > total) return BAD_CODE_LENGTHS;
    }
    // Not memory.fill: a call for one byte each costs more than all the rest of this loop.
    const end = at + repeat;
    do {
      store<u8>(LENGTHS + at, value);
    } while (++at < end);
  }
  if (load<u8>(LENGTHS + 256) == 0) return BAD_CODE_LENGTHS; // no end-of-block code
  if (
    !buildTable(DIST, DIST_ENTRIES, KIND_DIST, LENGTHS + literals, distances, DIST_BITS) ||
    !buildTable(LITLEN, LITLEN_ENTRIES, KIND_LITLEN, LENGTHS, literals, ROOT_BITS)
  ) return BAD_CODE_LENGTHS;
  lastBlock = isLast;
  state = CODES;
  return 4;
}

/** Copies a match up to `end`. May write up to 32 bytes beyond. */
// @ts-ignore: decorator
@inline
function copyMatch(to: usize, distance: usize, end: usize): void {
  let from = to - distance;
  if (distance >= 16) {
    v128.store(to, v128.load(from));
    v128.store(to + 16, v128.load(from + 16));
    to += 32;
    from += 32;
    while (to < end) {
      v128.store(to, v128.load(from));
      to += 16;
      from += 16;
    }
  } else if (distance == 1) {
    const pattern = i8x16.splat(load<u8>(from) as i8);
    do {
      v128.store(to, pattern);
      to += 16;
    } while (to < end);
  } else if (distance >= 8) {
    do {
      store<u64>(to, load<u64>(from));
      to += 8;
      from += 8;
    } while (to < end);
  } else {
    do {
      store<u8>(to, load<u8>(from));
      to++;
      from++;
    } while (to < end);
  }
}

/** The fast loop. Returns 0 to go on slowly, END_SEEN at the end of the block, or an error. */
const END_SEEN: i32 = 5;

// `b >>= entry` needs no mask: an entry's low six bits are what to drop, and a 64-bit shift looks at
// no others.
function decodeFast(): i32 {
  let b = bits;
  let n = count;
  let src = inAt;
  let dst = outAt;
  const srcEnd = inEnd - IN_SLACK;
  const dstEnd = OUT_LIMIT - OUT_SLACK;
  const low = floor;
  let status: i32 = 0;
  b |= load<u64>(src) << n;
  src += (63 - n) >> 3;
  n |= 56;
  let entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
  while (true) {
    if (entry & LITERAL) {
      store<u16>(dst, (entry >> 8) as u16);
      dst += (entry >> 30) - 1;
      b >>= entry as u64;
      n -= (entry & 31) as i32;
      entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
      if (entry & LITERAL) {
        store<u16>(dst, (entry >> 8) as u16);
        dst += (entry >> 30) - 1;
        b >>= entry as u64;
        n -= (entry & 31) as i32;
        entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
        if (entry & LITERAL) {
          store<u16>(dst, (entry >> 8) as u16);
          dst += (entry >> 30) - 1;
          b >>= entry as u64;
          n -= (entry & 31) as i32;
          if (src >= srcEnd || dst >= dstEnd) break;
          entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
          b |= load<u64>(src) << n;
          src += (63 - n) >> 3;
          n |= 56;
          continue;
        }
      }
      // A length and its distance need up to 48 bits.
      b |= load<u64>(src) << n;
      src += (63 - n) >> 3;
      n |= 56;
    }
    if (entry & SPECIAL) {
      if ((entry & (END | INVALID)) == 0) {
        const index = (entry >> 16) +
          (((b >> ROOT_BITS) as u32) & ((1 << ((entry >> 8) & 15)) - 1));
        entry = load<u32>(LITLEN + ((index as usize) << 2));
        if (entry & LITERAL) {
          store<u8>(dst, (entry >> 8) as u8);
          dst++;
          b >>= entry as u64;
          n -= (entry & 31) as i32;
          if (src >= srcEnd || dst >= dstEnd) break;
          entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
          b |= load<u64>(src) << n;
          src += (63 - n) >> 3;
          n |= 56;
          continue;
        }
      }
      if (entry & SPECIAL) {
        if (entry & END) {
          b >>= entry & 31;
          n -= (entry & 31) as i32;
          status = END_SEEN;
        } else status = BAD_CODE;
        break;
      }
    }
    // Length: base plus the bits between the code and the end of the extra bits.
    const lengthEntry = entry;
    const lengthBits = b;
    b >>= entry as u64;
    n -= (entry & 63) as i32;
    entry = load<u32>(DIST + (((b as usize) & 511) << 2));
    const length = ((lengthEntry >> 16) & 0x7fff) +
      (((lengthBits & (((1 as u64) << (lengthEntry as u64)) - 1)) >>
        ((lengthEntry >> 8) & 31)) as u32);
    if (entry & SPECIAL) {
      if ((entry & INVALID) == 0) {
        const index = (entry >> 16) +
          (((b >> DIST_BITS) as u32) & ((1 << ((entry >> 8) & 15)) - 1));
        entry = load<u32>(DIST + ((index as usize) << 2));
      }
      if (entry & SPECIAL) {
        status = BAD_CODE;
        break;
      }
    }
    const distance = (((entry >> 16) & 0x7fff) +
      (((b & (((1 as u64) << (entry as u64)) - 1)) >> ((entry >> 8) & 31)) as u32)) as usize;
    b >>= entry as u64;
    n -= (entry & 63) as i32;
    if (distance > dst - low) {
      status = BAD_DISTANCE;
      break;
    }
    // The next entry is on its way while the match is copied.
    entry = load<u32>(LITLEN + (((b as usize) & ROOT_MASK) << 2));
    b |= load<u64>(src) << n;
    src += (63 - n) >> 3;
    n |= 56;
    const to = dst;
    dst += length as usize;
    copyMatch(to, distance, dst);
    if (src >= srcEnd || dst >= dstEnd) break;
  }
  // Forget bits that were not accounted for: the slow path reads byte by byte.
  bits = b & (((1 as u64) << n) - 1);
  count = n;
  inAt = src;
  outAt = dst;
  return status;
}

/** One symbol near the end of input or room. 0 go on, NEED as -100, END_SEEN, OUT_FULL, or an error. */
const SHORT: i32 = -100;

function decodeOne(): i32 {
  fill();
  let entry = load<u32>(LITLEN + (((bits as usize) & ROOT_MASK) << 2));
  if ((entry & LITERAL) && ((entry & 31) as i32) <= count) {
    store<u16>(outAt, (entry >> 8) as u16);
    outAt += (entry >> 30) - 1;
    bits >>= entry & 31;
    count -= (entry & 31) as i32;
    return 0;
  }
  if ((entry & (LITERAL | PAIR)) == (LITERAL | PAIR)) {
    // The pair needs more bits than there are: its first literal alone may fit. Find its length by
    // looking the code up with the unknown bits as they are: shorter prefixes decide.
    return decodeSingle();
  }
  if (entry & LITERAL) return SHORT;
  if (entry & SPECIAL) {
    if ((entry & (END | INVALID)) == 0) {
      const index = (entry >> 16) +
        (((bits >> ROOT_BITS) as u32) & ((1 << ((entry >> 8) & 15)) - 1));
      entry = load<u32>(LITLEN + ((index as usize) << 2));
      if (entry & LITERAL) {
        if (((entry & 31) as i32) > count) return SHORT;
        store<u8>(outAt, (entry >> 8) as u8);
        outAt++;
        bits >>= entry & 31;
        count -= (entry & 31) as i32;
        return 0;
      }
    }
    if (entry & SPECIAL) {
      if (entry & END) {
        if (((entry & 31) as i32) > count) return SHORT;
        bits >>= entry & 31;
        count -= (entry & 31) as i32;
        return END_SEEN;
      }
      return count < 15 ? SHORT : BAD_CODE;
    }
  }
  let total = (entry & 63) as i32;
  if (total > count) return SHORT;
  let b = bits;
  let n = count;
  const length = ((entry >> 16) & 0x7fff) +
    (((b & (((1 as u64) << total) - 1)) >> ((entry >> 8) & 31)) as u32);
  b >>= total;
  n -= total;
  entry = load<u32>(DIST + (((b as usize) & 511) << 2));
  if (entry & SPECIAL) {
    if ((entry & INVALID) == 0) {
      const index = (entry >> 16) +
        (((b >> DIST_BITS) as u32) & ((1 << ((entry >> 8) & 15)) - 1));
      entry = load<u32>(DIST + ((index as usize) << 2));
    }
    if (entry & SPECIAL) return n < 15 ? SHORT : BAD_CODE;
  }
  total = (entry & 63) as i32;
  if (total > n) return SHORT;
  const distance = ((entry >> 16) & 0x7fff) +
    (((b & (((1 as u64) << total) - 1)) >> ((entry >> 8) & 31)) as u32);
  b >>= total;
  n -= total;
  if ((distance as usize) > outAt - floor) return BAD_DISTANCE;
  bits = b;
  count = n;
  const to = outAt;
  outAt += length as usize;
  copyMatch(to, distance as usize, outAt);
  return 0;
}

/** A pair's first literal, when only its own bits are here: the length is that of its code. */
function decodeSingle(): i32 {
  // Codes are prefix-free, so the shortest length at which all continuations agree is the code's.
  const entry = load<u32>(LITLEN + (((bits as usize) & ROOT_MASK) << 2));
  const literal = (entry >> 8) & 0xff;
  for (let length = 1; length <= count; length++) {
    let same = true;
    const known = (bits as u32) & ((1 << length) - 1);
    for (let rest = 0; rest < 1 << (ROOT_BITS - length); rest++) {
      const other = load<u32>(LITLEN + ((known | (rest << length)) << 2));
      if ((other & LITERAL) == 0 || ((other >> 8) & 0xff) != literal) {
        same = false;
        break;
      }
    }
    if (!same) continue;
    store<u8>(outAt, literal as u8);
    outAt++;
    bits >>= length;
    count -= length;
    return 0;
  }
  return SHORT;
}

// @ts-ignore: decorator
@inline
function giveBack(): void {
  inAt -= (count >> 3) as usize;
  count &= 7;
  bits &= ((1 as u64) << count) - 1;
}

function blockDone(): i32 {
  giveBack();
  state = lastBlock ? DONE : HEADER;
  return lastBlock ? STREAM_END : BLOCK_END;
}

/** Goes on until something is for the caller to do; see the status codes. */
export function run(): i32 {
  while (true) {
    if (state == DONE) return STREAM_END;
    if (state == HEADER) {
      const status = readHeader();
      if (status == NEED_INPUT) {
        giveBack();
        return NEED_INPUT;
      }
      if (status < 0) return status;
      continue;
    }
    if (state == STORED) {
      const room = OUT_LIMIT - OUT_SLACK > outAt ? OUT_LIMIT - OUT_SLACK - outAt : 0;
      let piece = stored as usize;
      if (piece > inEnd - inAt) piece = inEnd - inAt;
      if (piece > room) piece = room;
      memory.copy(outAt, inAt, piece);
      outAt += piece;
      inAt += piece;
      stored -= piece as i32;
      if (stored == 0) return blockDone();
      return room == piece ? OUT_FULL : NEED_INPUT;
    }
    if (outAt >= OUT_LIMIT - OUT_SLACK) {
      giveBack();
      return OUT_FULL;
    }
    let status: i32 = 0;
    if (inEnd > inAt + IN_SLACK) status = decodeFast();
    if (status == 0 && outAt < OUT_LIMIT - OUT_SLACK) status = decodeOne();
    if (status == SHORT) {
      giveBack();
      return NEED_INPUT;
    }
    if (status == END_SEEN) return blockDone();
    if (status < 0) return status;
  }  return 0;
}

/** Starts a deflate stream at the current input byte, with `primed` bits already read from it. */
export function start(primedBits: i32, primed: i32, keepHistory: bool): void {
  state = HEADER;
  lastBlock = false;
  bits = primed as u64;
  count = primedBits;
  fixedReady = false;
  floor = keepHistory ? OUT_BASE : outAt;
}

/** Where input goes, how much of it fits, and where output and its history lie. */
export function inBase(): usize {
  return IN_BASE;
}
export function inCapacity(): usize {
  return IN_CAPACITY;
}
export function outBase(): usize {
  return OUT_BASE;
}
/** Address of the next unread input byte. */
export function getIn(): usize {
  return inAt;
}
/** Says where unread input begins and ends. */
export function setIn(at: usize, end: usize): void {
  inAt = at;
  inEnd = end;
}
/** Unread bits of the byte before `getIn()`, 0 … 7. */
export function getBits(): i32 {
  return count;
}
/** Address after the last output byte. */
export function getOut(): usize {
  return outAt;
}
/** Empties the output; the history is zeros. */
export function resetOut(): void {
  memory.fill(OUT_BASE, 0, HISTORY);
  outAt = OUT_BASE + HISTORY;
  floor = outAt;
}
/** Moves the last 32 KiB of output to the history and begins again behind it. */
export function slide(): void {
  const by = outAt - (OUT_BASE + HISTORY);
  memory.copy(OUT_BASE, outAt - HISTORY, HISTORY);
  outAt -= by;
  floor = floor > OUT_BASE + by ? floor - by : OUT_BASE;
}
