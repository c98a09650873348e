# dev-blk/
