// Samples of positions cut into chunks (`src/ops/chunks.rs`): one invocation walks over a chunk's positions in one
// column of four channels, so that neighbouring invocations read neighbouring vectors.

struct Chunks {
    samples: u32,
    positions: u32, // per sample
    channels: u32,
    length: u32, // positions per chunk; a sample's last chunk may be shorter
    per_sample: u32, // chunks
    first: u32, // chunk of this launch, counted over all samples
    count: u32, // chunks in this launch
    first_row: u32, // row, a position of a sample, that the bindings of large values start at
}

// Vectors first, first + step, … below end of a value (rows, C/4).
struct ChunkWalk {
    sample: u32,
    chunk: u32, // counted over all samples
    column: u32,
    step: u32, // columns per row
    first: u32,
    end: u32,
}

fn chunk_invocations(chunks: Chunks) -> u32 {
    return chunks.count * (chunks.channels / 4u);
}

fn chunk_walk(chunks: Chunks, invocation: u32) -> ChunkWalk {
    var walk: ChunkWalk;
    walk.step = chunks.channels / 4u;
    walk.chunk = chunks.first + invocation / walk.step;
    walk.column = invocation % walk.step;
    walk.sample = walk.chunk / chunks.per_sample;
    let start = (walk.chunk % chunks.per_sample) * chunks.length;
    let length = min(chunks.length, chunks.positions - start);
    walk.first = (walk.sample * chunks.positions + start - chunks.first_row) * walk.step + walk.column;
    walk.end = walk.first + length * walk.step;
    return walk;
}
