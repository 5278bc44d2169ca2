package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/pkg/job"
)

type execIn struct {
	// Command is a list of words, or a line for the shell. Nothing is ever put
	// into that line: give values as env or stdin.
	Command any            `json:"command"`
	Env     map[string]any `json:"env,omitempty"`
	Workdir string         `json:"workdir,omitempty"`
	Stdin   any            `json:"stdin,omitempty"`
	// Files maps names inside the working directory to artifacts, URLs or
	// paths; a list makes a folder of numbered files.
	Files map[string]any `json:"files,omitempty"`
	// Outputs maps names to json, lines, text, "file NAME" (its text), "path
	// GLOB" or "paths GLOB" (artifacts).
	Outputs      map[string]string `json:"outputs,omitempty"`
	SuccessCodes []int             `json:"successCodes,omitempty"`
	// Progress is ffmpeg, percent (the last "42%" of a line), or a regular
	// expression whose first group is the percent.
	Progress string `json:"progress,omitempty"`
	// Duration, in seconds, is what ffmpeg's progress is a share of; without it
	// that of the first input.
	Duration float64 `json:"duration,omitempty"`
}

func badInput(format string, args ...any) error {
	return job.Permanent(job.Code(fmt.Errorf(format, args...), "badInput"))
}

func (c Config) exec(ctx context.Context, in execIn) (map[string]any, error) {
	argv, err := words(in.Command)
	if err != nil {
		return nil, err
	}
	dir := job.Info(ctx).Dir
	if in.Workdir != "" {
		if !filepath.IsAbs(in.Workdir) {
			in.Workdir = filepath.Join(dir, in.Workdir)
		}
		dir = in.Workdir
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, badInput("workdir %s is not a folder", dir)
	}
	if err := c.link(ctx, dir, in.Files); err != nil {
		return nil, err
	}
	progress, err := progressOf(ctx, in)
	if err != nil {
		return nil, err
	}
	cmd := executable.Command{Argv: argv, Dir: dir, Env: texts(in.Env), Progress: progress, LogStdout: true, Limits: c.Limits}
	switch s := in.Stdin.(type) {
	case nil:
	case string:
		cmd.Stdin = []byte(s)
	default:
		if cmd.Stdin, err = json.Marshal(s); err != nil {
			return nil, badInput("stdin: %v", err)
		}
	}
	o, err := cmd.Run(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(in.SuccessCodes, o.Code) && (o.Code != 0 || len(in.SuccessCodes) > 0) {
		message := fmt.Sprintf("%s ended with exit code %d", argv[0], o.Code)
		if o.LastLine != "" {
			message += ": " + o.LastLine
		}
		return nil, job.Code(errors.New(message), "exit:"+strconv.Itoa(o.Code))
	}
	return collect(ctx, dir, in, o)
}

func words(command any) ([]string, error) {
	switch command := command.(type) {
	case string:
		if strings.TrimSpace(command) != "" {
			return []string{"/bin/sh", "-c", command}, nil
		}
	case []any:
		var argv []string
		for _, w := range command {
			if s, ok := w.(string); ok {
				argv = append(argv, s)
				continue
			}
			raw, err := json.Marshal(w)
			if err != nil {
				return nil, badInput("command: %v", err)
			}
			argv = append(argv, string(raw))
		}
		if len(argv) > 0 && argv[0] != "" {
			return argv, nil
		}
	}
	return nil, badInput("command must be a list of words, or a line for the shell")
}

func texts(m map[string]any) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
			continue
		}
		raw, err := json.Marshal(v)
		if err == nil {
			out[k] = string(raw)
		}
	}
	return out
}

// link puts files into the working directory under other names.
func (c Config) link(ctx context.Context, dir string, files map[string]any) error {
	for name, from := range files {
		if !filepath.IsLocal(name) {
			return badInput("files: %q is no name inside the working directory", name)
		}
		switch from := from.(type) {
		case string:
			if err := c.linkOne(ctx, from, filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("files: %s: %w", name, err)
			}
		case []any:
			for i, item := range from {
				text, ok := item.(string)
				if !ok {
					return badInput("files: element %d of %s is no text", i, name)
				}
				numbered := fmt.Sprintf("%05d%s", i, filepath.Ext(text))
				if err := c.linkOne(ctx, text, filepath.Join(dir, name, numbered)); err != nil {
					return fmt.Errorf("files: element %d of %s: %w", i, name, err)
				}
			}
		default:
			return badInput("files: %s must be a file or a list of files", name)
		}
	}
	return nil
}

func (c Config) linkOne(ctx context.Context, from, to string) error {
	path, err := c.file(ctx, from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Symlink(path, to)
}

// file returns the path of a file: an artifact, what a URL gives, or a file of
// this machine.
func (c Config) file(ctx context.Context, from string) (string, error) {
	if strings.HasPrefix(from, "artifact:") {
		return job.ArtifactPath(ctx, from)
	}
	if _, ok := webFile(from); ok {
		got, err := c.take(ctx, from)
		return got.path, err
	}
	abs, err := filepath.Abs(from)
	if err != nil {
		return "", badInput("%v", err)
	}
	if _, err := os.Stat(abs); err != nil {
		return "", badInput("%s is not there", from)
	}
	return abs, nil
}

// collect makes the result: the declared outputs, or what was printed.
func collect(ctx context.Context, dir string, in execIn, o executable.Outcome) (map[string]any, error) {
	out := map[string]any{"exitCode": o.Code}
	if len(in.Outputs) == 0 {
		text := o.Stdout[:min(len(o.Stdout), 32<<10)]
		out["stdout"] = strings.ToValidUTF8(string(text), "\ufffd")
		return out, nil
	}
	for name, how := range in.Outputs {
		if kind, _, _ := strings.Cut(how, " "); o.Truncated && (kind == "json" || kind == "text" || kind == "lines") {
			return nil, job.Permanent(job.Code(fmt.Errorf("output %q: standard output has more than %d bytes: write a file", name, len(o.Stdout)), "tooLarge"))
		}
		v, err := output(ctx, dir, how, o)
		if err != nil {
			if job.Classify(err).Code == "artifact" { // the store's trouble, not the program's
				return nil, err
			}
			return nil, job.Permanent(job.Code(fmt.Errorf("output %q: %w", name, err), "badResult"))
		}
		out[name] = v
	}
	return out, nil
}

func output(ctx context.Context, dir, how string, o executable.Outcome) (any, error) {
	kind, arg, _ := strings.Cut(how, " ")
	switch kind {
	case "json":
		var v any
		d := json.NewDecoder(bytes.NewReader(o.Stdout))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("standard output is not JSON: %w", err)
		}
		return v, nil
	case "text":
		return strings.TrimRight(strings.ToValidUTF8(string(o.Stdout), "\ufffd"), "\n"), nil
	case "lines":
		text := strings.TrimRight(string(o.Stdout), "\n")
		if text == "" {
			return []string{}, nil
		}
		return strings.Split(text, "\n"), nil
	case "file":
		if !filepath.IsLocal(arg) {
			return nil, fmt.Errorf("%q is not inside the working directory", arg)
		}
		f, err := executable.OpenIn(dir, arg)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		raw, err := io.ReadAll(io.LimitReader(f, 64<<10))
		return string(raw), err
	case "path":
		kept, err := keep(ctx, dir, arg)
		if err != nil {
			return nil, err
		}
		if len(kept) != 1 {
			return nil, fmt.Errorf("%d files match %s, want one; paths gives a list", len(kept), arg)
		}
		return kept[0], nil
	case "paths":
		return keep(ctx, dir, arg)
	}
	return nil, fmt.Errorf("%q is none of json, lines, text, file NAME, path GLOB and paths GLOB", how)
}

// keep makes artifacts of the files that match a pattern, in their order.
func keep(ctx context.Context, dir, glob string) ([]string, error) {
	if !filepath.IsLocal(glob) {
		return nil, fmt.Errorf("%q is not inside the working directory", glob)
	}
	found, err := filepath.Glob(filepath.Join(dir, glob))
	if err != nil {
		return nil, fmt.Errorf("%q is no pattern: %w", glob, err)
	}
	kept := make([]string, 0, len(found))
	for _, path := range found {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		one, err := keepFile(ctx, dir, name)
		if err != nil {
			return nil, err
		}
		kept = append(kept, one)
	}
	return kept, nil
}

// keepFile makes an artifact of a file of the working directory.
func keepFile(ctx context.Context, dir, name string) (string, error) {
	f, err := executable.OpenIn(dir, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	return job.PutArtifact(ctx, name, f)
}
