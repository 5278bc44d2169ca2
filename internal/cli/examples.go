package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are lines a person can type, by command; a test reads each of them as
// the command would.
func examples() map[string][]string {
	return map[string][]string{
		"submit":           {"orchis submit hello -i region=north", "orchis submit recipes/weave.yaml --watch", "orchis submit nightly-etl --key 2026-01-31 --wait --timeout 1h"},
		"rerun":            {"orchis rerun 019aa3f0"},
		"list":             {"orchis list --state failed", "orchis list --recipe weave -o wide", "orchis list -o json", "orchis cancel $(orchis list --state running -q)"},
		"describe":         {"orchis describe 019aa3f0", "orchis describe 019aa3f0 -o yaml"},
		"why":              {"orchis why 019aa3f0", "orchis why 019aa3f0 'split[3]'"},
		"cancel":           {"orchis cancel 019aa3f0 --reason 'wrong inputs'", "orchis cancel --all --recipe weave"},
		"pause":            {"orchis pause 019aa3f0", "orchis pause --queue default --reason maintenance"},
		"resume":           {"orchis resume 019aa3f0", "orchis resume --queue default"},
		"approve":          {"orchis approve 019aa3f0 release --comment 'looks good'"},
		"reject":           {"orchis reject 019aa3f0 release --comment 'not on a Friday'"},
		"signal":           {"orchis signal 019aa3f0 payment --data '{\"amount\": 5}'"},
		"schedule list":    {"orchis schedule list"},
		"schedule next":    {"orchis schedule next nightly-etl -n 3"},
		"schedule pause":   {"orchis schedule pause nightly-etl --reason holidays"},
		"schedule resume":  {"orchis schedule resume nightly-etl"},
		"schedule trigger": {"orchis schedule trigger nightly-etl"},
		"cache list":       {"orchis cache list --handler exec"},
		"cache show":       {"orchis cache show 3f9a"},
		"cache purge":      {"orchis cache purge --handler exec"},
		"artifact list":    {"orchis artifact list 019aa3f0"},
		"artifact put":     {"orchis artifact put clip.mkv"},
		"artifact collect": {"orchis artifact collect"},
		"artifact adopt":   {"orchis artifact adopt"},
		"dlq list":         {"orchis dlq list", "orchis dlq list -o json"},
		"dlq show":         {"orchis dlq show 1795477746810-0"},
		"dlq requeue":      {"orchis dlq requeue 1795477746810-0"},
		"dlq purge":        {"orchis dlq purge 1795477746810-0", "orchis dlq purge --all"},
		"init":             {"orchis init my-jobs"},
		"dev":              {"orchis dev"},
		"validate":         {"orchis validate", "orchis validate recipes/hello.yaml -o json"},
		"lint":             {"orchis lint", "orchis lint recipes/weave.yaml"},
		"fmt":              {"orchis fmt", "orchis fmt --check"},
		"test":             {"orchis test"},
		"graph":            {"orchis graph hello", "orchis graph weave --expand --format svg"},
		"plan":             {"orchis plan hello"},
		"schema":           {"orchis schema recipe"},
		"workers":          {"orchis workers", "orchis workers -o wide"},
		"queues":           {"orchis queues", "orchis queues -o json"},
		"contracts":        {"orchis contracts"},
		"doctor":           {"orchis doctor", "orchis doctor -o json"},
		"config":           {"orchis config"},
		"version":          {"orchis version"},
	}
}

// illustrate gives commands their examples.
func illustrate(root *cobra.Command) {
	for path, lines := range examples() {
		if c, _, err := root.Find(strings.Fields(path)); err == nil && c.Example == "" {
			c.Example = "  " + strings.Join(lines, "\n  ")
		}
	}
}
