package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/beamctl/beamctl/checks/health"
)

// JUnit's XML, as the readers of CI systems understand it: a suite for each node, a case for each check.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Name    string       `xml:"name,attr"`
		Time    string       `xml:"time,attr"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// healthJUnit writes a report as JUnit XML. What is blocked, or has nothing to check, is skipped.
func healthJUnit(w io.Writer, r *health.Report, failOn health.Status) error {
	seconds := func(ms float64) string { return fmt.Sprintf("%.3f", ms/1000) }
	all := junitSuites{Name: "beamctl health", Time: seconds(r.Millis)}
	for _, row := range r.Rows {
		s := junitSuite{Name: row.Node, Tests: len(row.Cells)}
		for _, c := range row.Cells {
			one := junitCase{Name: c.Check, Class: row.Node + "." + string(c.Group), Time: seconds(c.Millis)}
			switch {
			case fails(&c, failOn):
				s.Failures++
				one.Failure = &junitMessage{Message: strings.TrimSuffix(c.Saw+"; "+c.Cause, "; "), Type: string(c.Status), Text: c.Finding(row.Node).Error()}
			case c.Status == health.Blocked, c.Status == health.None:
				s.Skipped++
				one.Skipped = &junitMessage{Message: c.Saw}
			case c.Status == health.Warn:
				one.Out = "warning: " + c.Finding(row.Node).Error()
			default:
				one.Out = c.Saw
			}
			s.Cases = append(s.Cases, one)
		}
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// fails tells whether a cell makes the exit code 1.
func fails(c *health.Cell, failOn health.Status) bool {
	return c.Status == health.Fail || c.Status == health.Warn && failOn == health.Warn
}

// healthGitHub writes an annotation for everything that is wrong, as workflow commands of GitHub's Actions, and the matrix into the
// step's summary.
func healthGitHub(w io.Writer, r *health.Report, failOn health.Status) error {
	for _, f := range r.Wrong() {
		command := "warning"
		if fails(&f.Cell, failOn) {
			command = "error"
		}
		found := f.Cell.Finding("")
		text := strings.TrimPrefix(found.Error(), found.What+"\n")
		_, err := fmt.Fprintf(w, "::%s title=%s::%s\n", command, workflowProperty.Replace("beamctl health: "+f.What()), workflowText.Replace(text))
		if err != nil {
			return err
		}
	}
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" || len(r.Rows) == 0 {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // given by the runner, to be read by it
	if err != nil {
		return fmt.Errorf("GITHUB_STEP_SUMMARY: %w", err)
	}
	if err := healthMarkdown(file, r); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// What workflow commands escape (actions/toolkit, packages/core/src/command.ts).
var (
	workflowText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	workflowProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// markdown keeps text from being markup, or from ending a table's cell.
var markdown = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "\n", " ", "\r", " ",
	"`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "]", "&#93;", "\\", "&#92;", "@", "&#64;", "~", "&#126;", "#", "&#35;")

// mark is how a status shows in a summary.
var mark = map[health.Status]string{
	health.OK: "✅", health.Warn: "⚠️", health.Fail: "❌", health.Blocked: "➖", health.None: "",
}

// healthMarkdown writes the matrix as a table with a line for each check, or for each node if there are many, and what is wrong.
func healthMarkdown(w io.Writer, r *health.Report) error {
	var b strings.Builder
	counts := r.Count()
	fmt.Fprintf(&b, "### beamctl health: %d ok, %d to be warned of, %d failed\n\n", counts[health.OK], counts[health.Warn], counts[health.Fail])
	header, rows := checksByNodes(r, false, noWidth)
	if header == nil {
		header, rows = nodesByGroups(r, false, noWidth)
	} else {
		for i, line := range rows {
			for j := range r.Rows {
				c := r.Rows[j].Cells[i]
				line[2+j] = strings.TrimSpace(mark[c.Status] + " " + clip(c.Saw, mostCell))
			}
		}
	}
	line := func(cells []string) {
		for i, c := range cells {
			cells[i] = markdown.Replace(c)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	line(header)
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(header)))
	for _, cells := range rows {
		line(cells)
	}
	for _, f := range r.Wrong() {
		fmt.Fprintf(&b, "\n%s **%s**: %s\n", mark[f.Cell.Status], markdown.Replace(f.What()), markdown.Replace(f.Cell.Saw))
		for _, p := range []struct{ name, text string }{{"cause", f.Cell.Cause}, {"fix", f.Cell.Fix}} {
			if p.text != "" {
				fmt.Fprintf(&b, "- %s: %s\n", p.name, markdown.Replace(p.text))
			}
		}
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}
