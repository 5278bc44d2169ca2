// Command orchestrator is the orchestrator of Orchis; see .env-example for its settings.
package main

import (
	"os"

	"github.com/orchis-run/orchis/internal/daemon"
)

func main() { os.Exit(daemon.Main("orchestrator", os.Args[1:])) }
