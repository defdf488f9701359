// Renders one mail with nunjucks and mjml for every email, as shops on node do; a JSON line in, a JSON line out.
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import mjml2html from 'mjml';
import nunjucks from 'nunjucks';

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version;
const environment = new nunjucks.Environment(null, { autoescape: true });
environment.addFilter('lines', (text) => environment.filters.safe(nunjucks.lib.escape(text).split(/\r?\n/).join('<br />')));

let render;

const commands = {
  async prepare({ template, context }) {
    const compiled = new nunjucks.Template(template, environment, 'mail', true);
    // Without validation: that is its fastest way.
    render = async () => (await mjml2html(compiled.render(context), {})).html;
    const versions = { node: process.versions.node, mjml: version('mjml'), nunjucks: version('nunjucks') };
    return { html: await render(), ...versions };
  },
  async loop({ seconds }) {
    const taken = [];
    const end = performance.now() + seconds * 1000;
    do {
      const start = performance.now();
      const used = process.cpuUsage();
      await render();
      const { user, system } = process.cpuUsage(used);
      // What its helping threads collect meanwhile is not counted against it, nor what others do on the machine.
      taken.push(Math.min(user + system, (performance.now() - start) * 1000));
    } while (performance.now() < end);
    return { taken };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  const answer = await (message.template ? commands.prepare : commands.loop)(message);
  process.stdout.write(JSON.stringify(answer) + '\n');
}
