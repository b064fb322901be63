        // This slice's part of scores `s` and of `dp`, four streamed rows each, for every owned row: `score_own` is its
        // q or k times `scale`, `dp_own` its d_out or v. Begins when the block is there, ends when all parts are.
        workgroupBarrier();
#for j in 0..COLUMNS/4
#for r in 0..ROWS
        var s_$(r)_$j = vec4<f32>();
        var dp_$(r)_$j = vec4<f32>();
#end
#for c in 0..SLICE4
        {
            let at = $(4*j) * TILE4 + $c * SLICES + slice;
            let a0 = score_tile[at];
            let a1 = score_tile[at + TILE4];
            let a2 = score_tile[at + 2 * TILE4];
            let a3 = score_tile[at + 3 * TILE4];
            let b0 = dp_tile[at];
            let b1 = dp_tile[at + TILE4];
            let b2 = dp_tile[at + 2 * TILE4];
            let b3 = dp_tile[at + 3 * TILE4];
#for r in 0..ROWS
            s_$(r)_$j = plus_dots(s_$(r)_$j, score_own_$(r)_$c, a0, a1, a2, a3);
            dp_$(r)_$j = plus_dots(dp_$(r)_$j, dp_own_$(r)_$c, b0, b1, b2, b3);
#end
        }
#end
#for r in 0..ROWS
        partials[$(r*COLUMNS/4+j) * WORKGROUP + local] = s_$(r)_$j;
        partials[PARTIALS + $(r*COLUMNS/4+j) * WORKGROUP + local] = dp_$(r)_$j;
#end
#end
        workgroupBarrier();
