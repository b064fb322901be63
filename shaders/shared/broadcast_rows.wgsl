// Multiplies a tile: ROWS rows, each eight values that a lane loaded into `own`, by the lane's `blocks` of weights.
#for i in 0..ROWS
        let low$i = subgroupBroadcast(own$(i/8)[0], $(i%8)u);
        let high$i = subgroupBroadcast(own$(i/8)[1], $(i%8)u);
#for q in 0..QUADS
        sum$(QUADS*i+q) += blocks[$(2*q)] * low$i + blocks[$(2*q+1)] * high$i;
#end
#end
