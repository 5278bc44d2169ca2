package cli

import (
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/conformance"
	"github.com/orchis-run/orchis/internal/redisstore"
)

// conformanceCommand proves that a worker in any language keeps the protocol.
func (a *app) conformanceCommand() *cobra.Command {
	var only []string
	var verbose bool
	c := &cobra.Command{
		Use: "conformance -- COMMAND...", Short: "Prove that a worker keeps the protocol, see docs/conformance.md", Args: cobra.MinimumNArgs(1),
		Example: "  orchis conformance -- python3 conformance_worker.py",
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.settings.RedisURL == "" {
				dir, err := os.MkdirTemp("", "orchis-conformance-")
				if err != nil {
					return &exit{exitFailed, err}
				}
				defer func() { _ = os.RemoveAll(dir) }()
				a.settings.Project = dir
				stop, err := a.ownRedis(cmd.Context())
				if err != nil {
					return err
				}
				defer stop()
			}
			cfg := conformance.Config{URL: a.settings.RedisURL, Prefix: "conformance-" + uuid.NewString()[:8], Command: args, Log: io.Discard, Only: only}
			if verbose {
				cfg.Log = a.err
			}
			a.tell("Redis: %s, prefix %s\n", redisstore.Masked(cfg.URL), cfg.Prefix)
			var all []conformance.Result
			failed := 0
			began := time.Now()
			err := conformance.Run(cmd.Context(), cfg, func(r conformance.Result) {
				all = append(all, r)
				if !r.OK {
					failed++
				}
				if !a.structured() {
					a.tellCheck(r)
				}
			})
			if a.structured() {
				if err := a.json(all); err != nil {
					return err
				}
			}
			if err != nil {
				return &exit{exitFailed, err}
			}
			a.tell("%d checks, %d failed, %s\n", len(all), failed, time.Since(began).Round(time.Second))
			if failed > 0 {
				return &exit{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&only, "only", nil, "only these checks")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what the worker prints")
	return c
}

func (a *app) tellCheck(r conformance.Result) {
	if r.OK {
		a.print("PASS  %-16s %s\n", r.Check, r.Why)
		return
	}
	a.print("FAIL  %-16s %s\n      %s\n", r.Check, r.Why, r.Error)
}
