package run

import "strings"

// urlPrefix begins a text that stands for a file which has to be fetched first.
const urlPrefix = "artifact+"

// FileAt is how an input of type file stands that was given as a URL: who needs
// the file fetches it.
func FileAt(url string) string { return urlPrefix + url }

// FileURL returns the URL of a text that FileAt made.
func FileURL(text string) (url string, ok bool) {
	url, ok = strings.CutPrefix(text, urlPrefix)
	return url, ok && (strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://"))
}
