// Command orchis runs, submits and watches recipes.
package main

import (
	"os"

	"github.com/orchis-run/orchis/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
