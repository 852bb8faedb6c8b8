<?php
/*
 * Plugin Name: Rules of the house
 * Description: The delivered account keeps its password, and the site calls nobody by itself.
 */

// Work that is due is done after a page was sent, by the process that sent it.
add_action('shutdown', function () {
    if (PHP_SAPI === 'fpm-fcgi' && !$_POST && !wp_doing_ajax() && !wp_installing() && wp_get_ready_cron_jobs()) {
        include ABSPATH . 'wp-cron.php';
    }
}, PHP_INT_MAX);

// The password of the delivered account is the catalog's: it is tried whenever the service is started.
function pumasi_is_delivered($user) {
    $user = is_numeric($user) ? get_userdata((int) $user) : $user;
    return $user instanceof WP_User && $user->user_login === PUMASI_USERNAME;
}
add_filter('show_password_fields', fn($shown, $user = null) => $shown && !pumasi_is_delivered($user), 10, 2);
add_filter('allow_password_reset', fn($allowed, $user) => pumasi_is_delivered($user) ? false : $allowed, 10, 2);
add_filter('admin_email_check_interval', '__return_zero');

// The code comes from Debian's packages, and so do its updates.
add_filter('pre_site_transient_update_core', function () {
    return (object) ['last_checked' => time(), 'version_checked' => get_bloginfo('version'), 'updates' => []];
});
if (WP_HTTP_BLOCK_EXTERNAL) {
    foreach (['update_plugins', 'update_themes'] as $list) {
        $unasked = ['response' => [], 'checked' => []];
        add_filter("pre_site_transient_$list", fn() => (object) ($unasked + ['last_checked' => time()]));
    }
    add_action('wp_dashboard_setup', fn() => remove_meta_box('dashboard_primary', 'dashboard', 'side'));
    // An answer and no failure, of which the log would tell at every look for updates.
    $refusal = [
        'response' => ['code' => 403, 'message' => 'This site may not call others.'],
        'headers' => [], 'body' => '', 'cookies' => [],
    ];
    add_filter('pre_http_request', fn() => $refusal, PHP_INT_MAX);
}

// Nor do its visitors' browsers.
remove_action('wp_head', 'print_emoji_detection_script', 7);
remove_action('admin_print_scripts', 'print_emoji_detection_script');
remove_action('wp_print_styles', 'print_emoji_styles');
remove_action('admin_print_styles', 'print_emoji_styles');
add_filter('emoji_svg_url', '__return_false');
add_action('init', function () {
    // The editor greets newcomers with pictures from elsewhere.
    global $wpdb;
    $name = $wpdb->get_blog_prefix() . 'persisted_preferences';
    if (is_admin() && is_user_logged_in() && !get_user_meta(get_current_user_id(), $name, true)) {
        $editors = ['core/edit-post', 'core/edit-site', 'core/edit-widgets'];
        $told = ['welcomeGuide' => false, 'welcomeGuideStyles' => false];
        update_user_meta(get_current_user_id(), $name, array_fill_keys($editors, $told));
    }
}, 0);

if (!PUMASI_XMLRPC) {
    add_filter('xmlrpc_enabled', '__return_false');
    add_filter('pings_open', '__return_false');
    remove_action('wp_head', 'rsd_link');
    remove_action('wp_head', 'wlwmanifest_link');
    add_filter('wp_headers', fn($headers) => array_diff_key($headers, ['X-Pingback' => '']));
}
remove_action('wp_head', 'wp_generator');
