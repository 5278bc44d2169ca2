package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/fetch"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// artifactCommand looks after the files that jobs hand to one another.
func (a *app) artifactCommand() *cobra.Command {
	c := &cobra.Command{Use: "artifact", Short: "Look after the files that jobs hand to one another"}
	c.AddCommand(a.artifactGet(), a.artifactPut(), a.artifactList(), a.artifactCollect(), a.artifactAdopt())
	return c
}

// store is where artifacts are kept.
func (a *app) store() (artifact.Store, error) {
	s, err := artifact.Open(a.settings.Artifacts, a.settings.Prefix)
	if err != nil {
		return nil, &exit{exitUsage, fmt.Errorf("ORCHIS_ARTIFACTS: %w", err)}
	}
	return s, nil
}

func (a *app) artifactGet() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "get ARTIFACT", Short: "Fetch a file, under its own name", Args: cobra.ExactArgs(1),
		Example: "  orchis artifact get artifact://sha256/2cf2.../master.mkv\n  orchis artifact get artifact://sha256/2cf2.../report.txt --to -",
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := artifact.Parse(args[0])
			if err != nil {
				return &exit{exitUsage, err}
			}
			s, err := a.store()
			if err != nil {
				return err
			}
			from, err := s.Open(cmd.Context(), ref)
			if errors.Is(err, artifact.ErrNotFound) {
				return &exit{exitNotFound, err}
			}
			if err != nil {
				return err
			}
			defer func() { _ = from.Close() }()
			if to == "-" {
				_, err = io.Copy(a.out, from)
				return err
			}
			if to == "" {
				if to = ref.Name; to == "" {
					to = ref.Digest
				}
			}
			f, err := os.Create(to)
			if err != nil {
				return err
			}
			if _, err := io.Copy(f, from); err != nil {
				return errors.Join(err, f.Close())
			}
			a.print("%s\n", to)
			return f.Close()
		},
	}
	c.Flags().StringVar(&to, "to", "", "the file to write; - is standard output")
	return c
}

func (a *app) artifactPut() *cobra.Command {
	return &cobra.Command{
		Use: "put FILE|URL", Short: "Keep a file and print its artifact, to be an input of a run", Args: cobra.ExactArgs(1),
		Long: "Keep a file, which may be one of the web, and print its artifact, to be an input of a run.\nWithout a run that refers to it, it is removed after a day (ORCHIS_ARTIFACT_AGE).",
		RunE: func(cmd *cobra.Command, args []string) error {
			put := a.put
			if _, ok := webFile(args[0]); ok {
				put = a.putURL
			}
			ref, err := put(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.print("%s\n", ref)
			return nil
		},
	}
}

func (a *app) put(ctx context.Context, path string) (string, error) {
	s, err := a.store()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", &exit{exitNotFound, err}
	}
	defer func() { _ = f.Close() }()
	ref, _, err := s.Put(ctx, filepath.Base(path), f)
	return ref.String(), err
}

// fetchWithin is how long a file may take that is fetched for a submission.
const fetchWithin = 30 * time.Minute

// putURL fetches a file and keeps it. It is fetched from here, by the person
// who names it, so it may come from a private network.
func (a *app) putURL(ctx context.Context, address string) (string, error) {
	s, err := a.store()
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeoutCause(ctx, fetchWithin, fmt.Errorf("it took longer than %s", fetchWithin))
	defer stop()
	from, err := fetch.Config{AllowPrivate: true}.Open(ctx, address)
	if err != nil {
		return "", &exit{exitNotFound, fmt.Errorf("fetch the file: %w", err)}
	}
	defer func() { _ = from.Close() }()
	ref, _, err := s.Put(ctx, from.Name, from)
	return ref.String(), err
}

func (a *app) artifactList() *cobra.Command {
	return a.query("list RUN", "List the artifacts that a run refers to", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		id, err := c.Resolve(ctx, args[0])
		if err != nil {
			return err
		}
		all, err := c.Artifacts(ctx, id)
		if err != nil || a.structured() {
			return firstError(err, func() error { return a.json(all) })
		}
		for _, one := range all {
			a.print("%s\n", one)
		}
		return nil
	})
}

func (a *app) artifactCollect() *cobra.Command {
	var age time.Duration
	c := a.query("collect", "Remove files that no run refers to, as orchestrators do each hour", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		s, err := a.store()
		if err != nil {
			return err
		}
		if age == 0 {
			age = a.settings.ArtifactAge
		}
		n, bytes, err := c.CollectArtifacts(ctx, s, age)
		if err != nil {
			return &exit{exitFailed, err}
		}
		a.print("%d removed, %d bytes\n", n, bytes)
		return nil
	})
	c.Flags().DurationVar(&age, "age", 0, "how old a file must be; a run that is just being submitted may want a younger one (ORCHIS_ARTIFACT_AGE)")
	return c
}

func (a *app) artifactAdopt() *cobra.Command {
	return a.query("adopt", "Let the orchestrators of this Redis remove files here", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		s, err := a.store()
		if err != nil {
			return err
		}
		return c.AdoptArtifacts(ctx, s)
	})
}

// upload makes artifacts of the files that are given as inputs.
func (a *app) upload(ctx context.Context, f *flow.Flow, inputs map[string]any) error {
	for i := range f.Inputs {
		in := &f.Inputs[i]
		v, err := a.uploaded(ctx, in, inputs[in.Name])
		if err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
		if v != nil {
			inputs[in.Name] = v
		}
	}
	return nil
}

// webFile returns the URL of a file that stands elsewhere, as it was typed or as
// it stands among inputs.
func webFile(text string) (string, bool) {
	if address, ok := run.FileURL(text); ok {
		return address, true
	}
	return text, strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

func (a *app) uploaded(ctx context.Context, in *flow.Input, v any) (any, error) {
	switch v := v.(type) {
	case string:
		if in.Type != "file" {
			return v, nil
		}
		if address, ok := webFile(v); ok {
			return a.putURL(ctx, address)
		}
		if info, err := os.Stat(v); err == nil && info.Mode().IsRegular() {
			return a.put(ctx, v)
		}
	case map[string]any:
		for i := range in.Properties {
			p := &in.Properties[i]
			one, err := a.uploaded(ctx, p, v[p.Name])
			if err != nil {
				return nil, err
			}
			if one != nil {
				v[p.Name] = one
			}
		}
	case []any:
		if in.Items == nil {
			return v, nil
		}
		for i := range v {
			one, err := a.uploaded(ctx, in.Items, v[i])
			if err != nil {
				return nil, err
			}
			v[i] = one
		}
	}
	return v, nil
}
