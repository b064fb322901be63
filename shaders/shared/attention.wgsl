// What the attention kernels share: their parameter block and the mask.
// The kernel defines HEAD4 (vec4s per head) and CAUSAL (0 or 1).

struct Params {
    queries: u32, // N
    keys: u32, // M
    heads: u32,
    batch: u32, // B of this launch
    first_batch: u32, // where this launch starts in lse and delta, which are bound whole
    scale: f32, // 1 / sqrt(head size)
}

// Instead of −∞, whose arithmetic some drivers optimise away.
const MASKED: f32 = -3e38;

fn visible(query: u32, key: u32) -> bool {
    return key < params.keys && (CAUSAL == 0u || key <= query);
}

// First vec4 of a row in (B, rows, C).
fn row_start(batch: u32, rows: u32, row: u32, head: u32) -> u32 {
    return ((batch * rows + row) * params.heads + head) * HEAD4;
}

// Index into (B, heads, N).
fn statistic_index(batch: u32, head: u32, query: u32) -> u32 {
    return ((params.first_batch + batch) * params.heads + head) * params.queries + query;
}
