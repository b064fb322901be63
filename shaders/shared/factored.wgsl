// Second moments kept as means of rows and columns (Shazeer and Stern 2018, arXiv 1804.04235), by workgroups of one tensor.
//
// The including file declares `rows` and `columns`, the means of a tensor's rows and of its columns, packed from the
// tensor's offset on, and `term`, of which they are the means.

#import shared/tensors.wgsl

// Lanes that share a line where there are `lines` of them: a power of two.
fn lanes_per_line(lines: u32) -> u32 {
    var lanes = 1u;
    while lanes < REDUCE_LANES && 2u * lanes * lines <= REDUCE_LANES {
        lanes *= 2u;
    }
    return lanes;
}

// The sum of `term` over a line's values from `first` on, those of this lane: every `lanes`-th of `count`.
fn part_of_line(first: u32, stride: u32, count: u32, lane: u32, lanes: u32) -> f32 {
    var total = 0.0;
    for (var start = lane; start < count; start += RUN * lanes) {
        let end = min(count, start + RUN * lanes);
        var sum = 0.0;
        for (var i = start; i < end; i += lanes) {
            sum += term(first + i * stride);
        }
        total += sum;
    }
    return total;
}

// The sum over the lanes of a line; call it in uniform control flow. The first lane's result is right.
fn line_sum(local: u32, lanes: u32, part: f32) -> f32 {
    reduce_slots[local].x = part;
    workgroupBarrier();
    var sum = 0.0;
    if local % lanes == 0u {
        for (var lane = 0u; lane < lanes; lane++) {
            sum += reduce_slots[local + lane].x;
        }
    }
    workgroupBarrier();
    return sum;
}

// Moves the means of rows and columns on: mean ← beta·mean + one_minus_beta·(mean of `term`).
fn advance_means(local: u32, t: Tensor, beta: f32, one_minus_beta: f32) {
    let row_lines = t.batches * t.rows;
    let row_lanes = lanes_per_line(row_lines);
    for (var base = 0u; base < row_lines; base += REDUCE_LANES / row_lanes) {
        let line = base + local / row_lanes;
        var part = 0.0;
        if line < row_lines {
            let first = address(t, line / t.rows, line % t.rows, 0u);
            part = part_of_line(first, 1u, t.columns, local % row_lanes, row_lanes);
        }
        let sum = line_sum(local, row_lanes, part);
        if line < row_lines && local % row_lanes == 0u {
            let i = t.offset + line;
            rows[i] = beta * rows[i] + one_minus_beta * (sum / f32(t.columns));
        }
    }
    let column_lines = t.batches * t.columns;
    let column_lanes = lanes_per_line(column_lines);
    for (var base = 0u; base < column_lines; base += REDUCE_LANES / column_lanes) {
        let line = base + local / column_lanes;
        var part = 0.0;
        if line < column_lines {
            let first = address(t, line / t.columns, 0u, line % t.columns);
            part = part_of_line(first, t.row_stride, t.rows, local % column_lanes, column_lanes);
        }
        let sum = line_sum(local, column_lanes, part);
        if line < column_lines && local % column_lanes == 0u {
            let i = t.offset + line;
            columns[i] = beta * columns[i] + one_minus_beta * (sum / f32(t.rows));
        }
    }
}

// The mean over the means of rows of a tensor that is one matrix; call it in uniform control flow.
fn mean_of_rows(local: u32, t: Tensor) -> f32 {
    var sum = 0.0;
    if t.batches == 1u {
        for (var row = local; row < t.rows; row += REDUCE_LANES) {
            sum += rows[t.offset + row];
        }
    }
    return reduce_sum(local, vec2<f32>(sum, 0.0)).x / f32(t.rows);
}

// 1/√ of a value's second moment by the means of its row and column; `mean` is mean_of_rows's. Matrices of which there
// are many are small, kernels of convolutions.
fn inverse_root(t: Tensor, at: vec3<u32>, mean: f32) -> f32 {
    var rows_mean = mean;
    if t.batches > 1u {
        var sum = 0.0;
        for (var row = 0u; row < t.rows; row++) {
            sum += rows[t.offset + at.x * t.rows + row];
        }
        rows_mean = sum / f32(t.rows);
    }
    let row = rows[t.offset + at.x * t.rows + at.y];
    let column = columns[t.offset + at.x * t.columns + at.z];
    return 1.0 / (sqrt(row / rows_mean) * sqrt(column));
}
