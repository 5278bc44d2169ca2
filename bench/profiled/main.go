// Command profiled is cmd/orchestrator with a CPU profile in BENCH_PROFILE.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/orchis-run/orchis/internal/daemon"
)

func main() {
	f, err := os.Create(os.Getenv("BENCH_PROFILE"))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := daemon.Main("orchestrator", os.Args[1:])
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
