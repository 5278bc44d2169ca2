// Package cli is the orchis command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/charmbracelet/colorprofile"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// The exit codes.
const (
	exitFailed      = 1   // the run failed
	exitUsage       = 2   // the command line is wrong
	exitInvalid     = 3   // the recipe or the submission is not valid
	exitNotFound    = 4   // no such run or recipe
	exitUnreachable = 5   // Redis or an orchestrator does not answer
	exitCancelled   = 6   // the run was cancelled
	exitTimeout     = 124 // --timeout ran out
	exitInterrupted = 130 // Ctrl-C
)

// exit is an error that says with which code to end; a nil err was told before.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// app is what the commands share.
type app struct {
	settings config.Settings
	in       io.Reader
	out, err io.Writer
	terminal bool // standard error is one
	asks     bool // standard input is one
	redis    string
	project  string
	output   string
	quiet    bool
	headless bool
	utc      bool
	columns  int         // of the terminal that is standard output; 0 when it is none
	approves bool        // say yes to every approval
	asides   chan string // remarks for whoever shows a run
	opened   string      // the URL of the Redis that was opened
	alone    bool        // Redis is in this process, and gone with it
	silent   sync.Once   // prints that no orchestrator is answering
}

// Main runs the command and returns its exit code.
func Main(args []string) int {
	a := &app{
		in: os.Stdin, out: painter(os.Stdout, os.Environ()), err: painter(os.Stderr, os.Environ()),
		terminal: isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		asks:     isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
	}
	if isatty.IsTerminal(os.Stdout.Fd()) {
		a.columns, _, _ = term.GetSize(int(os.Stdout.Fd()))
	}
	stopped := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		stopped = append(stopped, syscall.SIGHUP) // the terminal was closed
	}
	ctx, stop := signal.NotifyContext(trail.Into(context.Background(), os.Getenv("TRACEPARENT")), stopped...)
	defer stop()
	root := a.command()
	root.SetArgs(args)
	return a.code(root.ExecuteContext(ctx))
}

// painter takes away the colours that the terminal does not know; all of them
// when NO_COLOR is set, and for a pipe unless CLICOLOR_FORCE is.
func painter(w io.Writer, env []string) io.Writer {
	if slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "NO_COLOR=") && s != "NO_COLOR=" }) {
		env = slices.DeleteFunc(slices.Clone(env), func(s string) bool { return strings.HasPrefix(s, "CLICOLOR_FORCE=") })
	}
	return colorprofile.NewWriter(w, env)
}

// code tells an error and returns the exit code for it.
func (a *app) code(err error) int {
	if err == nil {
		return 0
	}
	var e *exit
	var rejected *client.RejectedError
	code := exitUsage
	switch {
	case errors.As(err, &e):
		code = e.code
		if e.err == nil {
			return code
		}
	case errors.As(err, &rejected):
		code = exitInvalid
		err = fmt.Errorf("the submission was rejected:\n%w", err)
	case errors.Is(err, client.ErrNotFound):
		code = exitNotFound
	case errors.Is(err, context.DeadlineExceeded):
		code = exitTimeout
	case errors.Is(err, context.Canceled):
		code = exitInterrupted
	case redisstore.IsRetryable(err):
		code = exitUnreachable
	}
	_, _ = fmt.Fprintln(a.err, "orchis:", err)
	return code
}

func (a *app) command() *cobra.Command {
	a.asides = make(chan string, 1)
	root := &cobra.Command{
		Use: "orchis", Short: "Distributed job orchestration for a Redis you already have",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(outputs(), a.output) {
				return &exit{exitUsage, fmt.Errorf("--output is %q, want json, yaml, wide, name or nothing", a.output)}
			}
			return a.prepare()
		},
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	f := root.PersistentFlags()
	f.StringVar(&a.redis, "redis", "", "URL of Redis (REDIS_URL)")
	f.StringVar(&a.project, "project", "", "folder with recipes/, flows/ and jobs/ (ORCHIS_PROJECT)")
	f.StringVarP(&a.output, "output", "o", "", "json or yaml for programs, wide for all columns, name for the first one only")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "as --output name")
	f.BoolVar(&a.headless, "no-headers", false, "tables without their first line")
	f.BoolVar(&a.utc, "utc", false, "times in UTC instead of the local zone")
	root.AddCommand(a.runCommand(), a.devCommand(), a.submitCommand(), a.rerunCommand(), a.retryCommand(),
		a.listCommand(), a.describeCommand(), a.watchCommand(), a.logsCommand(), a.eventsCommand(), a.topCommand(), a.whyCommand(),
		a.cancelCommand(), a.pauseCommand(), a.resumeCommand(), a.approveCommand(), a.rejectCommand(), a.signalCommand(),
		a.scheduleCommand(), a.cacheCommand(), a.artifactCommand(), a.dlqCommand(),
		a.initCommand(), a.validateCommand(), a.lintCommand(), a.fmtCommand(), a.testCommand(), a.graphCommand(), a.planCommand(), a.schemaCommand(),
		a.workersCommand(), a.contractsCommand(), a.queuesCommand(), a.doctorCommand(), a.conformanceCommand(), a.configCommand(), a.versionCommand(), a.referenceCommand(), a.manCommand())
	a.completes(root)
	illustrate(root)
	return root
}

// prepare reads the settings.
func (a *app) prepare() error {
	s, err := config.Load()
	if err != nil {
		return &exit{exitUsage, err}
	}
	if a.redis != "" {
		s.RedisURL = a.redis
	}
	if a.project != "" {
		s.Project = a.project
	}
	a.settings = s
	return nil
}

// open connects to Redis.
func (a *app) open(ctx context.Context) (*client.Client, error) {
	url := a.settings.RedisURL
	if url == "" {
		url = "redis://localhost:6379"
		if dev, ok := a.announced(ctx); ok {
			url = dev
		}
	}
	a.opened = url
	certificates, err := redisstore.LoadTLS(a.settings.RedisCA, a.settings.RedisCert, a.settings.RedisKey)
	if err != nil {
		return nil, &exit{exitUsage, err}
	}
	c, err := client.Open(ctx, client.Config{URL: url, TLS: certificates, Prefix: a.settings.Prefix, Partitions: a.settings.Partitions, MaxDefinition: a.settings.LargestDefinition()})
	if err != nil {
		return nil, &exit{exitUnreachable, err}
	}
	return c, nil
}

// with connects, and disconnects after do.
func (a *app) with(ctx context.Context, do func(*client.Client) error) error {
	c, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return do(c)
}

func (a *app) print(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }
func (a *app) tell(format string, args ...any)  { _, _ = fmt.Fprintf(a.err, format, args...) }

func (a *app) loader() (*flow.Loader, error) {
	l, err := flow.NewLoader(a.settings.Definitions())
	if err != nil {
		return nil, &exit{exitUsage, err}
	}
	return l, nil
}

// load reads a definition and tells what is wrong with it.
func (a *app) load(name string) (*flow.Bundle, error) {
	l, err := a.loader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	b, diags := l.Load(name)
	return b, a.told(diags)
}

func (a *app) told(diags flow.Diagnostics) error {
	if a.structured() && len(diags) > 0 {
		if err := a.json(diags); err != nil {
			return err
		}
	} else {
		diags.Render(a.err, flow.RenderOptions{Color: a.terminal && os.Getenv("NO_COLOR") == ""})
	}
	if !diags.HasErrors() {
		return nil
	}
	if len(diags) == 1 && diags[0].Code == "E001" {
		return &exit{code: exitNotFound}
	}
	return &exit{code: exitInvalid}
}

// who is the name under which things are asked for.
func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// ended returns the exit code for how a run ended.
func ended(r run.Run) error {
	switch r.State {
	case run.Succeeded:
		return nil
	case run.Cancelled:
		return &exit{code: exitCancelled}
	}
	return &exit{code: exitFailed}
}
