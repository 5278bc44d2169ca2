// Command worker is the worker of Orchis; see .env-example for its settings.
package main

import (
	"os"

	"github.com/orchis-run/orchis/internal/daemon"
)

func main() { os.Exit(daemon.Main("worker", os.Args[1:])) }
