#!/bin/sh
# Written by `carnet init`, shim version 1; `carnet uninstall` puts back what stood here.
@CHAIN@[ -x @CARNET@ ] || { echo 'carnet: @CARNET@ is gone, so nothing was examined and @EVENT@ refuses; install carnet again and type: carnet init' >&2; exit 1; }
exec @CARNET@ hook @EVENT@ --shim 1 -- "$@"
