module fleetscore.dev/localcluster/tools/pause

go 1.24.0
