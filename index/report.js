(function () {
	'use strict';
	var root = document.documentElement, box = document.getElementById('find');
	var opened = [];
	function all(selector, fn) {
		Array.prototype.forEach.call(document.querySelectorAll(selector), fn);
	}
	root.className = 'js';
	function find() {
		var want = box.value.toLowerCase(), shown = 0;
		all('.f', function (f) {
			var hit = f.textContent.toLowerCase().indexOf(want) >= 0 ||
				f.parentNode.getAttribute('data-name').toLowerCase().indexOf(want) >= 0;
			f.classList.toggle('off', !hit);
			shown += hit;
		});
		all('.inst', function (i) {
			i.classList.toggle('off', want && !i.querySelector('.f:not(.off)'));
		});
		document.getElementById('found').textContent = want ? shown + ' shown' : '';
	}
	function toggle(open) {
		all('.inst, .f details', function (d) { d.open = open; });
	}
	function follow() {
		var at = document.getElementById(location.hash.slice(1));
		if (at && at.tagName === 'DETAILS')
			at.open = true;
	}
	if (box) {
		box.addEventListener('input', find);
		document.getElementById('open').addEventListener('click', function () { toggle(true); });
		document.getElementById('close').addEventListener('click', function () { toggle(false); });
	}
	addEventListener('hashchange', follow);
	follow();
	addEventListener('beforeprint', function () {
		all('details:not([open])', function (d) { d.open = true; opened.push(d); });
	});
	addEventListener('afterprint', function () {
		opened.forEach(function (d) { d.open = false; });
		opened = [];
	});
}());
