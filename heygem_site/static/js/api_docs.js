/* The API's description as a page to read and try. Everything comes from this site: no validator, no fonts. */

const place = document.getElementById("swagger-ui");

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  tagsSorter: "alpha",
  validatorUrl: null,
  requestInterceptor(request) {
    // Who is signed in here tries it as themselves: the browser sends the session, the page its own token.
    if (!["GET", "HEAD"].includes(request.method ?? "GET")) request.headers["X-CSRFToken"] = document.body.dataset.csrf;
    return request;
  },
});
